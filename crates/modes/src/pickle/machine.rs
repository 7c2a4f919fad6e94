//! The stack machine that runs a pickle, without the instructions that import, call or restore
//! objects.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::pickle::opcode as op;
use crate::pickle::reader::Reader;
use crate::pickle::tree::{Function, Id, Made, Node, take};
use crate::pickle::value::{Limit, PickleError, Pickled};

/// The newest protocol of Python.
const NEWEST_PROTOCOL: u8 = 5;

/// The maximum number of characters of a refused name in an error.
const SHOWN: usize = 120;

/// Runs the pickle at the start of `bytes`. Returns all values, the index of the value that the
/// pickle describes, and the offset of its end.
pub(super) fn run(bytes: &[u8]) -> Result<(Vec<Made<'_>>, Id, usize), PickleError> {
    let mut machine = Machine {
        reader: Reader::new(bytes),
        at: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        computed: 0,
    };
    // An instruction adds at most one value, reference, mark or memo entry. So this limit also
    // bounds the memory of all of these.
    for _ in 0..Limit::Instructions.maximum() {
        machine.at = machine.reader.offset();
        let opcode = machine.reader.byte()?;
        if opcode == op::STOP {
            let root = machine.pop()?;
            return Ok((machine.values, root, machine.reader.offset()));
        }
        machine.execute(opcode)?;
    }
    Err(PickleError::TooLarge { limit: Limit::Instructions, offset: machine.at })
}

struct Machine<'a> {
    reader: Reader<'a>,
    /// The offset of the current instruction.
    at: usize,
    values: Vec<Made<'a>>,
    stack: Vec<Id>,
    /// The size of the stack at each mark.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// The number of bytes that calls have made. A pickle can repeat a call on one long text.
    computed: usize,
}

impl<'a> Machine<'a> {
    /// Runs one instruction.
    fn execute(&mut self, opcode: u8) -> Result<(), PickleError> {
        let node = match opcode {
            op::NONE => Node::Scalar(Pickled::None),
            op::NEWTRUE => Node::Scalar(Pickled::Bool(true)),
            op::NEWFALSE => Node::Scalar(Pickled::Bool(false)),
            op::INT => self.integer_or_bool()?,
            op::BININT => integer(i64::from(i32::from_le_bytes(self.reader.array()?))),
            op::BININT1 => integer(i64::from(self.reader.byte()?)),
            op::BININT2 => integer(i64::from(u16::from_le_bytes(self.reader.array()?))),
            op::LONG => {
                let line = self.reader.text_line()?;
                Node::Scalar(self.reader.integer_in(line)?)
            }
            op::LONG1 => self.long(Reader::counted::<1>)?,
            op::LONG4 => self.long(Reader::counted_signed)?,
            op::FLOAT => Node::Scalar(Pickled::Float(self.reader.number_line()?)),
            op::BINFLOAT => Node::Scalar(Pickled::Float(f64::from_be_bytes(self.reader.array()?))),
            op::UNICODE => Node::Text(self.reader.escaped_line()?),
            op::SHORT_BINUNICODE => self.text(Reader::counted::<1>)?,
            op::BINUNICODE => self.text(Reader::counted::<4>)?,
            op::BINUNICODE8 => self.text(Reader::counted::<8>)?,
            op::STRING => Node::Bytes(self.reader.quoted_line()?),
            op::BINSTRING => bytes(self.reader.counted_signed()?),
            op::SHORT_BINSTRING | op::SHORT_BINBYTES => bytes(self.reader.counted::<1>()?),
            op::BINBYTES => bytes(self.reader.counted::<4>()?),
            op::BINBYTES8 | op::BYTEARRAY8 => bytes(self.reader.counted::<8>()?),
            op::EMPTY_LIST => Node::List(Vec::new()),
            op::EMPTY_DICT => Node::Dict(Vec::new()),
            op::EMPTY_TUPLE => Node::Tuple(Vec::new()),
            op::LIST => Node::List(self.pop_to_mark()?),
            op::DICT => Node::Dict(self.pop_pairs()?),
            op::TUPLE => Node::Tuple(self.pop_to_mark()?),
            op::TUPLE1 => Node::Tuple(self.pop_many(1)?),
            op::TUPLE2 => Node::Tuple(self.pop_many(2)?),
            op::TUPLE3 => Node::Tuple(self.pop_many(3)?),
            op::GLOBAL => self.global()?,
            op::STACK_GLOBAL => self.stack_global()?,
            op::REDUCE => self.call()?,
            _ => return self.rearrange(opcode),
        };
        self.stack.push(self.values.len());
        self.values.push(Made { node, offset: self.at });
        Ok(())
    }

    /// Runs an instruction that makes no value of its own.
    fn rearrange(&mut self, opcode: u8) -> Result<(), PickleError> {
        match opcode {
            op::PROTO if self.reader.byte()? > NEWEST_PROTOCOL => {
                return Err(self.malformed("a protocol that is newer than 5"));
            }
            op::PROTO => {}
            // A frame helps readers of streams. Here all bytes are in memory already.
            op::FRAME => {
                let length = self.reader.unsigned::<8>()?;
                self.reader.available(length)?;
            }
            op::MARK => self.marks.push(self.stack.len()),
            // POP removes a mark if no value is above the mark.
            op::POP if self.marks.last() == Some(&self.stack.len()) => {
                self.marks.pop();
            }
            op::POP => {
                self.pop()?;
            }
            op::POP_MARK => {
                self.pop_to_mark()?;
            }
            op::DUP => {
                let top = self.top()?;
                self.stack.push(top);
            }
            op::APPEND => {
                let parts = self.pop_many(1)?;
                self.extend_list(parts)?;
            }
            op::APPENDS => {
                let parts = self.pop_to_mark()?;
                self.extend_list(parts)?;
            }
            op::SETITEM => {
                let parts = self.pop_many(2)?;
                self.extend_dict(parts)?;
            }
            op::SETITEMS => {
                let parts = self.pop_pairs()?;
                self.extend_dict(parts)?;
            }
            op::PUT => {
                let key = self.reader.number_line()?;
                self.store(key)?;
            }
            op::BINPUT => {
                let key = self.reader.unsigned::<1>()?;
                self.store(key)?;
            }
            op::LONG_BINPUT => {
                let key = self.reader.unsigned::<4>()?;
                self.store(key)?;
            }
            op::MEMOIZE => self.store(self.memo.len() as u64)?,
            op::GET => {
                let key = self.reader.number_line()?;
                self.recall(key)?;
            }
            op::BINGET => {
                let key = self.reader.unsigned::<1>()?;
                self.recall(key)?;
            }
            op::LONG_BINGET => {
                let key = self.reader.unsigned::<4>()?;
                self.recall(key)?;
            }
            _ => return Err(self.refuse_opcode(opcode)),
        }
        Ok(())
    }

    /// Reads the operand of `INT`. Old protocols also write booleans with it.
    fn integer_or_bool(&mut self) -> Result<Node<'a>, PickleError> {
        Ok(Node::Scalar(match self.reader.text_line()? {
            "00" => Pickled::Bool(false),
            "01" => Pickled::Bool(true),
            line => self.reader.integer_in(line)?,
        }))
    }

    fn long(
        &mut self,
        read: impl Fn(&mut Reader<'a>) -> Result<&'a [u8], PickleError>,
    ) -> Result<Node<'a>, PickleError> {
        let bytes = read(&mut self.reader)?;
        self.reader.integer(bytes).map(Node::Scalar)
    }

    fn text(
        &mut self,
        read: impl Fn(&mut Reader<'a>) -> Result<&'a [u8], PickleError>,
    ) -> Result<Node<'a>, PickleError> {
        let bytes = read(&mut self.reader)?;
        self.reader.utf8(bytes).map(|text| Node::Text(Cow::Borrowed(text)))
    }

    fn global(&mut self) -> Result<Node<'a>, PickleError> {
        let module = self.reader.line()?;
        let name = self.reader.line()?;
        self.function(&String::from_utf8_lossy(module), &String::from_utf8_lossy(name))
    }

    fn stack_global(&mut self) -> Result<Node<'a>, PickleError> {
        let parts = self.pop_many(2)?;
        match (&self.values[parts[0]].node, &self.values[parts[1]].node) {
            (Node::Text(module), Node::Text(name)) => self.function(module, name),
            _ => Err(self.malformed("an import whose name is not text")),
        }
    }

    /// Returns the function with this name, if it is one of the few that are allowed.
    fn function(&self, module: &str, name: &str) -> Result<Node<'a>, PickleError> {
        match (module, name) {
            ("_codecs", "encode") => Ok(Node::Function(Function::Encode)),
            ("builtins" | "__builtin__", "bytes") => Ok(Node::Function(Function::Bytes)),
            ("builtins" | "__builtin__", "bytearray") => Ok(Node::Function(Function::Bytearray)),
            _ => Err(self.refused(&format!("{module}.{name}"))),
        }
    }

    /// Computes `REDUCE` if it is one of the calls with which Python writes bytes, and refuses any
    /// other.
    fn call(&mut self) -> Result<Node<'a>, PickleError> {
        let parts = self.pop_many(2)?;
        let Node::Function(function) = self.values[parts[0]].node else {
            return Err(self.refused("REDUCE"));
        };
        let arguments = match &self.values[parts[1]].node {
            Node::Tuple(arguments) => arguments.as_slice(),
            _ => return Err(self.malformed("a call whose arguments are not a tuple")),
        };
        let mut nodes = arguments.iter().map(|id| &self.values[*id].node);
        match (function, nodes.next(), nodes.next(), nodes.next()) {
            (Function::Bytes | Function::Bytearray, None, ..) => Ok(bytes(&[])),
            (Function::Bytearray, Some(Node::Bytes(bytes)), None, _) => {
                self.computed = take(self.computed, bytes.len(), Limit::Bytes, self.at)?;
                Ok(Node::Bytes(bytes.clone()))
            }
            (
                Function::Encode | Function::Bytearray,
                Some(Node::Text(text)),
                Some(encoding),
                None,
            ) if is_latin_1(encoding) => {
                self.computed = take(self.computed, text.len(), Limit::Bytes, self.at)?;
                let bytes = text.chars().map(u8::try_from).collect::<Result<Vec<_>, _>>();
                let bytes = bytes.map_err(|_| self.malformed("bytes that are over 255"))?;
                Ok(Node::Bytes(Cow::Owned(bytes)))
            }
            _ => Err(self.refused(&format!("{} with other arguments", function.name()))),
        }
    }

    fn top(&self) -> Result<Id, PickleError> {
        match self.stack.last() {
            Some(top) if self.marks.last() != Some(&self.stack.len()) => Ok(*top),
            _ => Err(self.malformed("an instruction without the value that it needs")),
        }
    }

    fn pop(&mut self) -> Result<Id, PickleError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// Removes the topmost `count` values, and returns them from the bottom to the top.
    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() < floor + count {
            return Err(self.malformed("an instruction without the value that it needs"));
        }
        Ok(self.stack.split_off(self.stack.len() - count))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, PickleError> {
        let mark = self.marks.pop().ok_or_else(|| self.malformed("a mark is missing"))?;
        Ok(self.stack.split_off(mark))
    }

    fn pop_pairs(&mut self) -> Result<Vec<Id>, PickleError> {
        let parts = self.pop_to_mark()?;
        if parts.len() % 2 == 0 { Ok(parts) } else { Err(self.malformed("a key without a value")) }
    }

    fn extend_list(&mut self, more: Vec<Id>) -> Result<(), PickleError> {
        let top = self.top()?;
        let Node::List(parts) = &mut self.values[top].node else {
            return Err(self.malformed("an item for something that is not a list"));
        };
        parts.extend(more);
        Ok(())
    }

    fn extend_dict(&mut self, more: Vec<Id>) -> Result<(), PickleError> {
        let top = self.top()?;
        let Node::Dict(parts) = &mut self.values[top].node else {
            return Err(self.malformed("an entry for something that is not a dict"));
        };
        parts.extend(more);
        Ok(())
    }

    fn store(&mut self, key: u64) -> Result<(), PickleError> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<(), PickleError> {
        let id = self.memo.get(&key).copied();
        let never_stored = || self.malformed("a value that is recalled but was never stored");
        self.stack.push(id.ok_or_else(never_stored)?);
        Ok(())
    }

    fn refuse_opcode(&mut self, opcode: u8) -> PickleError {
        let name = match opcode {
            op::INST => {
                return match (self.reader.line(), self.reader.line()) {
                    (Ok(module), Ok(name)) => self.refused(&format!(
                        "{}.{}",
                        String::from_utf8_lossy(module),
                        String::from_utf8_lossy(name)
                    )),
                    (Err(error), _) | (_, Err(error)) => error,
                };
            }
            op::BUILD => "BUILD (the state of an object)",
            op::OBJ => "OBJ (an object)",
            op::NEWOBJ => "NEWOBJ (an object)",
            op::NEWOBJ_EX => "NEWOBJ_EX (an object)",
            op::EXT1 => "EXT1 (an object of a registered type)",
            op::EXT2 => "EXT2 (an object of a registered type)",
            op::EXT4 => "EXT4 (an object of a registered type)",
            op::PERSID => "PERSID (an object stored outside the pickle)",
            op::BINPERSID => "BINPERSID (an object stored outside the pickle)",
            op::EMPTY_SET | op::ADDITEMS => "EMPTY_SET (a set)",
            op::FROZENSET => "FROZENSET (a set)",
            op::NEXT_BUFFER => "NEXT_BUFFER (data stored outside the pickle)",
            op::READONLY_BUFFER => "READONLY_BUFFER (data stored outside the pickle)",
            _ => return self.malformed("an unknown instruction"),
        };
        self.refused(name)
    }

    fn refused(&self, name: &str) -> PickleError {
        let what = match name.split('.').next() {
            Some("numpy") => " (a numpy array or number)",
            Some("torch") => " (a tensor)",
            _ => match name {
                "builtins.set"
                | "__builtin__.set"
                | "builtins.frozenset"
                | "__builtin__.frozenset" => " (a set)",
                "copyreg._reconstructor" | "copy_reg._reconstructor" => " (an object)",
                _ => "",
            },
        };
        let mut shown: String = name.chars().take(SHOWN).flat_map(char::escape_debug).collect();
        if name.chars().nth(SHOWN).is_some() {
            shown.push('…');
        }
        PickleError::Refused { name: shown + what, offset: self.at }
    }

    fn malformed(&self, what: &'static str) -> PickleError {
        PickleError::Malformed { what, offset: self.at }
    }
}

fn integer(number: i64) -> Node<'static> {
    Node::Scalar(Pickled::Integer(number))
}

fn bytes(bytes: &[u8]) -> Node<'_> {
    Node::Bytes(Cow::Borrowed(bytes))
}

/// Returns true if an argument is the name of Latin-1 as Python writes it. Python 2 writes it as
/// bytes.
fn is_latin_1(encoding: &Node<'_>) -> bool {
    let name = match encoding {
        Node::Text(name) => name.as_bytes(),
        Node::Bytes(name) => name,
        _ => return false,
    };
    matches!(name, b"latin1" | b"latin-1")
}
