//! The machine that a pickle is a program for, without the parts that import, call or rebuild
//! objects.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::pickle::reader::Reader;
use crate::pickle::tree::{Function, Id, Made, Node, take};
use crate::pickle::value::{Limit, PickleError, Pickled};

/// The newest protocol there is.
const NEWEST_PROTOCOL: u8 = 5;

/// As much of a refused name as is shown.
const SHOWN: usize = 120;

/// Runs the pickle at the start of `bytes`: the values that it made, which of them it stands for,
/// and where it ends.
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
    // An instruction adds at most one value, reference, mark or memo entry, so that this one count
    // bounds the memory of all of them.
    for _ in 0..Limit::Instructions.most() {
        machine.at = machine.reader.offset();
        let opcode = machine.reader.byte()?;
        if opcode == b'.' {
            let root = machine.pop()?;
            return Ok((machine.values, root, machine.reader.offset()));
        }
        machine.execute(opcode)?;
    }
    Err(PickleError::TooLarge { limit: Limit::Instructions, offset: machine.at })
}

struct Machine<'a> {
    reader: Reader<'a>,
    /// Where the current instruction starts.
    at: usize,
    values: Vec<Made<'a>>,
    stack: Vec<Id>,
    /// The heights of the stack at which marks were set.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// How many bytes the calls have made: a call can be repeated on one long text.
    computed: usize,
}

impl<'a> Machine<'a> {
    /// One instruction, named beside its code as in `pickletools`.
    fn execute(&mut self, opcode: u8) -> Result<(), PickleError> {
        let node = match opcode {
            b'N' => Node::Scalar(Pickled::None),
            0x88 => Node::Scalar(Pickled::Bool(true)),
            0x89 => Node::Scalar(Pickled::Bool(false)),
            b'I' => self.integer_or_bool()?,
            b'J' => integer(i64::from(i32::from_le_bytes(self.reader.array()?))),
            b'K' => integer(i64::from(self.reader.byte()?)),
            b'M' => integer(i64::from(u16::from_le_bytes(self.reader.array()?))),
            b'L' => {
                let line = self.reader.text_line()?;
                Node::Scalar(self.reader.integer_in(line)?)
            }
            0x8a => self.long(Reader::counted::<1>)?,
            0x8b => self.long(Reader::counted_signed)?,
            b'F' => Node::Scalar(Pickled::Float(self.reader.number_line()?)),
            b'G' => Node::Scalar(Pickled::Float(f64::from_be_bytes(self.reader.array()?))),
            b'V' => Node::Text(self.reader.escaped_line()?),
            0x8c => self.text(Reader::counted::<1>)?,
            b'X' => self.text(Reader::counted::<4>)?,
            0x8d => self.text(Reader::counted::<8>)?,
            b'S' => Node::Bytes(self.reader.quoted_line()?),
            b'T' => bytes(self.reader.counted_signed()?),
            b'U' | b'C' => bytes(self.reader.counted::<1>()?),
            b'B' => bytes(self.reader.counted::<4>()?),
            0x8e | 0x96 => bytes(self.reader.counted::<8>()?),
            b']' => Node::List(Vec::new()),
            b'}' => Node::Dict(Vec::new()),
            b')' => Node::Tuple(Vec::new()),
            b'l' => Node::List(self.pop_to_mark()?),
            b'd' => Node::Dict(self.pop_pairs()?),
            b't' => Node::Tuple(self.pop_to_mark()?),
            0x85..=0x87 => Node::Tuple(self.pop_many(usize::from(opcode - 0x84))?),
            b'c' => self.global()?,
            0x93 => self.stack_global()?,
            b'R' => self.call()?,
            _ => return self.rearrange(opcode),
        };
        self.stack.push(self.values.len());
        self.values.push(Made { node, offset: self.at });
        Ok(())
    }

    /// The instructions that make no value of their own.
    fn rearrange(&mut self, opcode: u8) -> Result<(), PickleError> {
        match opcode {
            // PROTO
            0x80 if self.reader.byte()? > NEWEST_PROTOCOL => {
                return Err(self.malformed("a protocol that is newer than 5"));
            }
            0x80 => {}
            // FRAME: a hint for readers of streams; all bytes are here.
            0x95 => {
                let length = self.reader.unsigned::<8>()?;
                self.reader.available(length)?;
            }
            b'(' => self.marks.push(self.stack.len()),
            // POP takes away a mark when nothing is above it.
            b'0' if self.marks.last() == Some(&self.stack.len()) => {
                self.marks.pop();
            }
            b'0' => {
                self.pop()?;
            }
            b'1' => {
                self.pop_to_mark()?;
            }
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'a' => {
                let parts = self.pop_many(1)?;
                self.extend_list(parts)?;
            }
            b'e' => {
                let parts = self.pop_to_mark()?;
                self.extend_list(parts)?;
            }
            b's' => {
                let parts = self.pop_many(2)?;
                self.extend_dict(parts)?;
            }
            b'u' => {
                let parts = self.pop_pairs()?;
                self.extend_dict(parts)?;
            }
            b'p' => {
                let key = self.reader.number_line()?;
                self.store(key)?;
            }
            b'q' => {
                let key = self.reader.unsigned::<1>()?;
                self.store(key)?;
            }
            b'r' => {
                let key = self.reader.unsigned::<4>()?;
                self.store(key)?;
            }
            0x94 => self.store(self.memo.len() as u64)?,
            b'g' => {
                let key = self.reader.number_line()?;
                self.recall(key)?;
            }
            b'h' => {
                let key = self.reader.unsigned::<1>()?;
                self.recall(key)?;
            }
            b'j' => {
                let key = self.reader.unsigned::<4>()?;
                self.recall(key)?;
            }
            _ => return Err(self.refuse_opcode(opcode)),
        }
        Ok(())
    }

    /// `I`, which is also how old protocols write booleans.
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

    /// The function of that name, if it is one of the few.
    fn function(&self, module: &str, name: &str) -> Result<Node<'a>, PickleError> {
        match (module, name) {
            ("_codecs", "encode") => Ok(Node::Function(Function::Encode)),
            ("builtins" | "__builtin__", "bytes") => Ok(Node::Function(Function::Bytes)),
            ("builtins" | "__builtin__", "bytearray") => Ok(Node::Function(Function::Bytearray)),
            _ => Err(self.refused(&format!("{module}.{name}"))),
        }
    }

    /// `REDUCE`: one of the calls by which Python writes bytes, and no other.
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
            _ => Err(self.malformed("a value is used that is not there")),
        }
    }

    fn pop(&mut self) -> Result<Id, PickleError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// The topmost `count` values, the last one last.
    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() < floor + count {
            return Err(self.malformed("a value is used that is not there"));
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
        self.stack.push(id.ok_or_else(|| self.malformed("a value is recalled but never stored"))?);
        Ok(())
    }

    fn refuse_opcode(&mut self, opcode: u8) -> PickleError {
        let name = match opcode {
            b'i' => {
                return match (self.reader.line(), self.reader.line()) {
                    (Ok(module), Ok(name)) => self.refused(&format!(
                        "{}.{}",
                        String::from_utf8_lossy(module),
                        String::from_utf8_lossy(name)
                    )),
                    (Err(error), _) | (_, Err(error)) => error,
                };
            }
            b'b' => "BUILD (the state of an object)",
            b'o' => "OBJ (an object)",
            0x81 => "NEWOBJ (an object)",
            0x92 => "NEWOBJ_EX (an object)",
            0x82 => "EXT1 (an object of a registered type)",
            0x83 => "EXT2 (an object of a registered type)",
            0x84 => "EXT4 (an object of a registered type)",
            b'P' => "PERSID (an object kept elsewhere)",
            b'Q' => "BINPERSID (an object kept elsewhere)",
            0x8f | 0x90 => "EMPTY_SET (a set)",
            0x91 => "FROZENSET (a set)",
            0x97 => "NEXT_BUFFER (data kept elsewhere)",
            0x98 => "READONLY_BUFFER (data kept elsewhere)",
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

/// Whether an argument names Latin-1, as Python spells it. Python 2 writes the name as bytes.
fn is_latin_1(encoding: &Node<'_>) -> bool {
    let name = match encoding {
        Node::Text(name) => name.as_bytes(),
        Node::Bytes(name) => name,
        _ => return false,
    };
    matches!(name, b"latin1" | b"latin-1")
}
