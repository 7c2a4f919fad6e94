use std::panic::catch_unwind;

use super::value::Limit;
use super::{PickleError, Pickled, decode};

mod samples;

fn text(text: &str) -> Pickled {
    Pickled::Text(text.to_owned())
}

fn big(digits: &str) -> Pickled {
    Pickled::BigInteger(digits.to_owned())
}

fn bytes(bytes: &[u8]) -> Pickled {
    Pickled::Bytes(bytes.to_vec())
}

fn integers(integers: &[i64]) -> Vec<Pickled> {
    integers.iter().copied().map(Pickled::Integer).collect()
}

/// The value that each of the samples describes.
fn sample() -> Pickled {
    let mut numbers = integers(&[0, 255, 256, 70_000, -1, 1 << 31, i64::MIN]);
    numbers.extend([
        big("18446744073709551616"),
        big("-18446744073709551616"),
        big("-2361183241434822606848"),
        Pickled::Float(1.5),
        Pickled::Float(-0.25),
    ]);
    let nested = Pickled::List(vec![Pickled::List(vec![]), Pickled::Dict(vec![])]);
    let entries = [
        ("image", bytes(b"\xff\0\n'\\raw")),
        ("empty", bytes(b"")),
        ("ascii", bytes(b"plain")),
        ("text", text("héllo ☃ 😀\\\n\\u0041")),
        ("array", bytes(b"\x80\x01")),
        ("no array", bytes(b"")),
        ("numbers", Pickled::List(numbers)),
        ("flags", Pickled::Tuple(vec![Pickled::Bool(true), Pickled::Bool(false), Pickled::None])),
        ("pair", Pickled::Tuple(integers(&[1, 2]))),
        ("single", Pickled::Tuple(integers(&[1]))),
        ("many", Pickled::Tuple(integers(&[1, 2, 3, 4]))),
        ("nothing", Pickled::Tuple(vec![])),
        ("nested", Pickled::Dict(vec![(text("list"), nested)])),
    ];
    let pairs = entries.map(|(name, value)| Pickled::Tuple(vec![text(name), value]));
    Pickled::List(pairs.to_vec())
}

#[test]
fn every_protocol_of_both_pythons_is_read() {
    for (writer, pickle) in samples::SAMPLES {
        assert_eq!(decode(pickle), Ok(sample()), "{writer}");
    }
}

#[test]
fn a_pickle_that_is_cut_off_anywhere_is_an_error() {
    for (writer, pickle) in samples::SAMPLES {
        for end in 0..pickle.len() {
            let read = decode(&pickle[..end]);
            // A frame gives the number of bytes that follow, so a missing end is noticed at once.
            assert!(matches!(read, Err(PickleError::Truncated { .. })), "{writer} {end}: {read:?}");
        }
    }
}

#[test]
fn escapes_are_those_of_python() {
    let table: &[(&[u8], Pickled)] = &[
        (br"S'\a\b\f\v\t\r\n\0\101\x41\'\q\\' ", bytes(b"\x07\x08\x0c\x0b\t\r\n\0AA'\\q\\")),
        (b"S\"it's\"", bytes(b"it's")),
        (b"S''", bytes(b"")),
        (br"V\u2603\U0001f600", text("☃😀")),
        (br"V\\u2603\n", text(r"\\u2603\n")),
        (br"V\\\u2603", text(r"\\☃")),
        (b"V\\", text("\\")),
        (b"V\xe9", text("é")),
        (b"I-0", Pickled::Integer(0)),
        (b"I007", Pickled::Integer(7)),
        (b"L1L", Pickled::Integer(1)),
        (b"L00000000000000000000000000000001L", Pickled::Integer(1)),
        (b"F1e+20", Pickled::Float(1e20)),
        (b"F-inf", Pickled::Float(f64::NEG_INFINITY)),
    ];
    for (line, expected) in table {
        let pickle = [line, b"\n.".as_slice()].concat();
        assert_eq!(decode(&pickle).as_ref(), Ok(expected), "{}", line.escape_ascii());
    }
}

#[test]
fn long_integers_are_exact() {
    let table: &[(&[u8], Pickled)] = &[
        (b"\x8a\0", Pickled::Integer(0)),
        (b"\x8a\x01\x80", Pickled::Integer(-128)),
        (b"\x8a\x02\xff\0", Pickled::Integer(255)),
        (b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\xff", Pickled::Integer(-1)),
        (b"\x8a\x0a\0\0\0\0\0\0\0\0\0\0", Pickled::Integer(0)),
        (b"\x8a\x0a\0\0\0\0\0\0\0\0\0\x80", big("-604462909807314587353088")),
        (b"\x8b\x09\0\0\0\0\0\0\0\0\0\0\0\x01", big("18446744073709551616")),
    ];
    for (start, expected) in table {
        let pickle = [start, b".".as_slice()].concat();
        assert_eq!(decode(&pickle).as_ref(), Ok(expected), "{}", start.escape_ascii());
    }
    let digits = "7".repeat(Limit::Digits.maximum());
    assert_eq!(decode(format!("L{digits}L\n.").as_bytes()), Ok(big(&digits)));
}

#[test]
fn a_dict_may_be_filled_after_it_was_stored() {
    let filled = Pickled::Dict(vec![(text("a"), Pickled::Integer(1))]);
    let both = Pickled::List(vec![filled.clone(), filled]);
    assert_eq!(decode(b"]}q\x01X\x01\0\0\0aK\x01sah\x01a."), Ok(both.clone()));
    assert_eq!(decode(b"}q\x01]h\x01ah\x01ah\x01X\x01\0\0\0aK\x01s0."), Ok(both));
}

fn malformed(what: &'static str, offset: usize) -> PickleError {
    PickleError::Malformed { what, offset }
}

#[test]
fn marks_copies_and_pops_work_as_in_python() {
    let table: &[(&[u8], Pickled)] = &[
        (b"K\x01(0.", Pickled::Integer(1)),
        (b"K\x01(K\x02K\x031.", Pickled::Integer(1)),
        (b"K\x01K\x020.", Pickled::Integer(1)),
        (b"K\x012\x86.", Pickled::Tuple(integers(&[1, 1]))),
        (b"(K\x01K\x02l.", Pickled::List(integers(&[1, 2]))),
        (b"(K\x01K\x02d.", Pickled::Dict(vec![(Pickled::Integer(1), Pickled::Integer(2))])),
    ];
    for (pickle, expected) in table {
        assert_eq!(decode(pickle).as_ref(), Ok(expected), "{}", pickle.escape_ascii());
    }
}

#[test]
fn anything_but_plain_data_is_refused_by_name() {
    let table: &[(&[u8], &str)] = &[
        (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        (b"cbuiltins\neval\n(V1\ntR.", "builtins.eval"),
        (b"c__builtin__\neval\n.", "__builtin__.eval"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R.", "os.system"),
        (b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93.", "builtins.getattr"),
        (b"}(V1\ncsubprocess\nPopen\nu.", "subprocess.Popen"),
        (b"(S'ls'\nios\nsystem\n.", "os.system"),
        (b"cbuiltins\nbytes.__init__\n.", "builtins.bytes.__init__"),
        (b"c_codecs\ndecode\n.", "_codecs.decode"),
        (b"c\xff\x1b[2J\nx\n.", "\u{fffd}\\u{1b}[2J.x"),
        (
            b"cnumpy.core.multiarray\nscalar\n.",
            "numpy.core.multiarray.scalar (a numpy array or number)",
        ),
        (b"ccopy_reg\n_reconstructor\n.", "copy_reg._reconstructor (an object)"),
        (b"c__builtin__\nset\n.", "__builtin__.set (a set)"),
        (b"ccollections\nOrderedDict\n)R.", "collections.OrderedDict"),
        (b"\x8f.", "EMPTY_SET (a set)"),
        (b"(\x91.", "FROZENSET (a set)"),
        (b"]}b.", "BUILD (the state of an object)"),
        (b"(o.", "OBJ (an object)"),
        (b"cbuiltins\nbytes\n)\x81.", "NEWOBJ (an object)"),
        (b"cbuiltins\nbytes\n)}\x92.", "NEWOBJ_EX (an object)"),
        (b"\x82\x01.", "EXT1 (an object of a registered type)"),
        (b"\x83\x01\0.", "EXT2 (an object of a registered type)"),
        (b"\x84\x01\0\0\0.", "EXT4 (an object of a registered type)"),
        (b"Pid\n.", "PERSID (an object stored outside the pickle)"),
        (b"NQ.", "BINPERSID (an object stored outside the pickle)"),
        (b"\x97.", "NEXT_BUFFER (data stored outside the pickle)"),
        (b"N\x98.", "READONLY_BUFFER (data stored outside the pickle)"),
        // The allowed functions can do nothing but make bytes.
        (b"cbuiltins\nbytes\n.", "bytes"),
        (b"]c_codecs\nencode\na.", "_codecs.encode"),
        (b"cbuiltins\nbytes\n(J\xff\xff\xff\x7ftR.", "bytes with other arguments"),
        (b"cbuiltins\nbytearray\n(J\xff\xff\xff\x7ftR.", "bytearray with other arguments"),
        (b"c_codecs\nencode\n(Va\nVrot13\ntR.", "_codecs.encode with other arguments"),
        (b"c_codecs\nencode\n(Va\nVlatin1\nNtR.", "_codecs.encode with other arguments"),
        (b"N)R.", "REDUCE"),
    ];
    for (pickle, name) in table {
        match decode(pickle) {
            Err(PickleError::Refused { name: refused, .. }) => assert_eq!(&refused, name),
            other => panic!("{}: {other:?}", pickle.escape_ascii()),
        }
    }
    assert_eq!(
        decode(b"}cos\nsystem\n.").map_err(|error| error.to_string()),
        Err("refused `os.system` at byte 1: only plain data is read from a pickle; \
             write the dict with plain bytes, str and numbers"
            .to_owned())
    );
    let long = [b"cm\n", "n".repeat(10_000).as_bytes(), b"\n."].concat();
    assert!(decode(&long).is_err_and(|error| error.to_string().len() < 300));
}

#[test]
fn errors_name_the_mistake_and_its_offset() {
    let table: &[(&[u8], PickleError)] = &[
        (b"", PickleError::Truncated { offset: 0 }),
        (b"N.N.", PickleError::Trailing { offset: 2 }),
        (b".", malformed("an instruction without the value that it needs", 0)),
        (b"(.", malformed("an instruction without the value that it needs", 1)),
        (b"N(a.", malformed("an instruction without the value that it needs", 2)),
        (b"N(\x85.", malformed("an instruction without the value that it needs", 2)),
        (b"t.", malformed("a mark is missing", 0)),
        (b"(Nd.", malformed("a key without a value", 2)),
        (b"NNa.", malformed("an item for something that is not a list", 2)),
        (b"]NNs.", malformed("an entry for something that is not a dict", 3)),
        (b"h\x07.", malformed("a value that is recalled but was never stored", 0)),
        (b"g-1\n.", malformed("an invalid number", 4)),
        (b"\x80\x06N.", malformed("a protocol that is newer than 5", 0)),
        (b"\xffN.", malformed("an unknown instruction", 0)),
        (b"X\x01\0\0\0\xff.", malformed("text that is not UTF-8", 6)),
        (b"X\x03\0\0\0\xed\xa0\xbd.", malformed("text that is not UTF-8", 8)),
        (b"V\\ud83d\n.", malformed("half of a surrogate pair", 8)),
        (b"V\\u12\n.", malformed("an incomplete escape", 6)),
        (b"V\\U00110000\n.", malformed("half of a surrogate pair", 12)),
        (b"S'\\x1'\n.", malformed("an incomplete escape", 7)),
        (b"S'a\n.", malformed("a string without its quotes", 4)),
        (b"S'\n.", malformed("a string without its quotes", 3)),
        (b"Ione\n.", malformed("an invalid integer", 5)),
        (b"I--1\n.", malformed("an invalid integer", 5)),
        (b"Fone\n.", malformed("an invalid number", 5)),
        (b"T\xff\xff\xff\xff.", malformed("a negative length", 1)),
        (b"\x8b\xff\xff\xff\xff.", malformed("a negative length", 1)),
        (b"VaVb\x93.", PickleError::Truncated { offset: 6 }),
        (b"NN\x93.", malformed("an import whose name is not text", 2)),
        (b"cbuiltins\nbytes\nNR.", malformed("a call whose arguments are not a tuple", 17)),
        (b"c_codecs\nencode\n(V\\u2603\nVlatin1\ntR.", malformed("bytes that are over 255", 34)),
        (b"X\xff\xff\xff\xff.", PickleError::Truncated { offset: 6 }),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", PickleError::Truncated { offset: 10 }),
        (b"\x95\xff\xff\xff\xff\xff\xff\xff\xffN.", PickleError::Truncated { offset: 11 }),
    ];
    for (pickle, error) in table {
        assert_eq!(decode(pickle).as_ref(), Err(error), "{}", pickle.escape_ascii());
    }
}

#[test]
fn white_space_after_the_end_is_ignored() {
    assert_eq!(decode(b"N.\n"), Ok(Pickled::None));
    assert_eq!(decode(b"N. \r\n"), Ok(Pickled::None));
}

#[test]
fn a_value_that_contains_itself_is_refused() {
    let loops: &[&[u8]] = &[b"]q\0h\0a.", b"}q\0X\x01\0\0\0ah\0s.", b"]q\0(h\0ta.", b"]q\0]h\0aa."];
    for pickle in loops {
        assert_eq!(decode(pickle), Err(PickleError::Recursive { offset: 0 }));
    }
}

#[test]
fn depth_is_limited() {
    let nested = |levels: usize| {
        let middle = [b"]".repeat(levels), b"a".repeat(levels - 1)].concat();
        decode(&[middle.as_slice(), b"."].concat())
    };
    assert!(nested(Limit::Depth.maximum()).is_ok());
    let deepest = PickleError::TooLarge { limit: Limit::Depth, offset: Limit::Depth.maximum() };
    assert_eq!(nested(Limit::Depth.maximum() + 1), Err(deepest));
    assert!(nested(1_000_000).is_err());
}

/// A pickle with `levels` nested lists. Each contains the one below ten times, and the lowest
/// contains `innermost`.
fn shared_lists(innermost: &[u8], levels: usize) -> Vec<u8> {
    let level = [b"q\0]".as_slice(), &b"h\0a".repeat(10)].concat();
    [innermost, &level.repeat(levels), b"."].concat()
}

fn limit(pickle: &[u8]) -> Option<Limit> {
    match decode(pickle) {
        Err(PickleError::TooLarge { limit, .. }) => Some(limit),
        _ => None,
    }
}

#[test]
fn a_shared_value_counts_each_time() {
    assert!(decode(&shared_lists(b"N", 5)).is_ok());
    assert_eq!(limit(&shared_lists(b"N", 9)), Some(Limit::Values));
    assert_eq!(limit(&shared_lists(b"]", 9)), Some(Limit::Values));
    let long = "x".repeat(1 << 20);
    let text = [b"X\0\0\x10\0", long.as_bytes()].concat();
    assert_eq!(limit(&shared_lists(&text, 4)), Some(Limit::Bytes));
    let call = [b"c__builtin__\nbytearray\nq\0(B\0\0\x10\0", long.as_bytes(), b"tq\x01"].concat();
    let calls = [call.as_slice(), &b"h\0h\x01R0".repeat(513), b"."].concat();
    assert_eq!(limit(&calls), Some(Limit::Bytes));
}

#[test]
fn counts_are_limited() {
    let values = [b"(", b"N".repeat(Limit::Values.maximum()).as_slice(), b"l."].concat();
    assert_eq!(limit(&values), Some(Limit::Values));
    let steps = b"N0".repeat(Limit::Instructions.maximum());
    assert_eq!(limit(&steps), Some(Limit::Instructions));
    let digits = ["L", &"9".repeat(Limit::Digits.maximum() + 1), "L\n."].concat();
    assert_eq!(limit(digits.as_bytes()), Some(Limit::Digits));
    let wide = [b"\x8b\0\0\x10\0", vec![0x7f; 1 << 20].as_slice(), b"."].concat();
    assert_eq!(limit(&wide), Some(Limit::Digits));
}

/// A generator of pseudo-random numbers that are the same in every run (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let opcodes = b"NIJKMLFGVXSTUCB]})ldtc(012aesupqrghjR.\x80\x85\x86\x87\x88\x8a\x8c\x93\x94\x95";
    for _ in 0..20_000 {
        let length = random.next() % 60;
        let noise: Vec<u8> = (0..length).map(|_| random.byte()).collect();
        let program: Vec<u8> =
            (0..length).map(|_| opcodes[random.next() % opcodes.len()]).collect();
        let (_, sample) = samples::SAMPLES[random.next() % samples::SAMPLES.len()];
        let mut changed = sample.to_vec();
        for _ in 0..=random.next() % 3 {
            let at = random.next() % changed.len();
            changed[at] = random.byte();
        }
        for pickle in [noise, program, changed] {
            let read = catch_unwind(|| decode(&pickle).is_ok());
            assert!(read.is_ok(), "{}", pickle.escape_ascii());
        }
    }
}
