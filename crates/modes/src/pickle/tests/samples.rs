//! One list, pickled with every protocol of Python 2.7 and 3.11: `pickle.dumps(SAMPLE, protocol)`
//! with unicode literals. The bytes are `str` in Python 2.
//!
//! ```text
//! SAMPLE = [
//!     ("image", b"\xff\x00\n'\\raw"), ("empty", b""), ("ascii", b"plain"),
//!     ("text", "h\xe9llo \u2603 \U0001f600\\\n\\u0041"),
//!     ("array", bytearray(b"\x80\x01")), ("no array", bytearray()),
//!     ("numbers", [0, 255, 256, 70000, -1, 2**31, -2**63, 2**64, -2**64, -2**71, 1.5, -0.25]),
//!     ("flags", (True, False, None)), ("pair", (1, 2)), ("single", (1,)),
//!     ("many", (1, 2, 3, 4)), ("nothing", ()), ("nested", {"list": [[], {}]}),
//! ]
//! ```

/// The writer and the protocol, and the pickle.
pub(super) const SAMPLES: &[(&str, &[u8])] = &[
    (
        "Python 2, protocol 0",
        b"(lp0\n(Vimage\np1\nS\"\\xff\\x00\\n'\\\\raw\"\np2\ntp3\na(Vempty\np4\nS''\np5\ntp6\n\
          a(Vascii\np7\nS'plain'\np8\ntp9\na(Vtext\np10\nVh\xe9llo \\u2603 \\U0001f600\\u005c\
          \\u000a\\u005cu0041\np11\ntp12\na(Varray\np13\nc__builtin__\nbytearray\np14\n(V\x80\
          \x01\np15\nS'latin-1'\np16\ntp17\nRp18\ntp19\na(Vno array\np20\ng14\n(V\np21\nS'lati\
          n-1'\np22\ntp23\nRp24\ntp25\na(Vnumbers\np26\n(lp27\nI0\naI255\naI256\naI70000\naI-1\
          \naI2147483648\naL-9223372036854775808L\naL18446744073709551616L\naL-184467440737095\
          51616L\naL-2361183241434822606848L\naF1.5\naF-0.25\natp28\na(Vflags\np29\n(I01\nI00\
          \nNtp30\ntp31\na(Vpair\np32\n(I1\nI2\ntp33\ntp34\na(Vsingle\np35\n(I1\ntp36\ntp37\na\
          (Vmany\np38\n(I1\nI2\nI3\nI4\ntp39\ntp40\na(Vnothing\np41\n(ttp42\na(Vnested\np43\n(\
          dp44\nVlist\np45\n(lp46\n(lp47\na(dp48\nastp49\na.",
    ),
    (
        "Python 2, protocol 1",
        b"]q\0((X\x05\0\0\0imageq\x01U\x08\xff\0\n'\\rawq\x02tq\x03(X\x05\0\0\0emptyq\x04U\0q\
          \x05tq\x06(X\x05\0\0\0asciiq\x07U\x05plainq\x08tq\t(X\x04\0\0\0textq\nX\x17\0\0\0h\
          \xc3\xa9llo \xe2\x98\x83 \xf0\x9f\x98\x80\\\n\\u0041q\x0btq\x0c(X\x05\0\0\0arrayq\rc\
          __builtin__\nbytearray\nq\x0e(X\x03\0\0\0\xc2\x80\x01q\x0fU\x07latin-1q\x10tq\x11Rq\
          \x12tq\x13(X\x08\0\0\0no arrayq\x14h\x0e(X\0\0\0\0q\x15U\x07latin-1q\x16tq\x17Rq\x18\
          tq\x19(X\x07\0\0\0numbersq\x1a]q\x1b(K\0K\xffM\0\x01Jp\x11\x01\0J\xff\xff\xff\xffI21\
          47483648\nL-9223372036854775808L\nL18446744073709551616L\nL-18446744073709551616L\nL\
          -2361183241434822606848L\nG?\xf8\0\0\0\0\0\0G\xbf\xd0\0\0\0\0\0\0etq\x1c(X\x05\0\0\0\
          flagsq\x1d(I01\nI00\nNtq\x1etq\x1f(X\x04\0\0\0pairq (K\x01K\x02tq!tq\"(X\x06\0\0\0si\
          ngleq#(K\x01tq$tq%(X\x04\0\0\0manyq&(K\x01K\x02K\x03K\x04tq'tq((X\x07\0\0\0nothingq)\
          )tq*(X\x06\0\0\0nestedq+}q,X\x04\0\0\0listq-]q.(]q/}q0estq1e.",
    ),
    (
        "Python 2, protocol 2",
        b"\x80\x02]q\0(X\x05\0\0\0imageq\x01U\x08\xff\0\n'\\rawq\x02\x86q\x03X\x05\0\0\0emptyq\
          \x04U\0q\x05\x86q\x06X\x05\0\0\0asciiq\x07U\x05plainq\x08\x86q\tX\x04\0\0\0textq\nX\
          \x17\0\0\0h\xc3\xa9llo \xe2\x98\x83 \xf0\x9f\x98\x80\\\n\\u0041q\x0b\x86q\x0cX\x05\0\
          \0\0arrayq\rc__builtin__\nbytearray\nq\x0eX\x03\0\0\0\xc2\x80\x01q\x0fU\x07latin-1q\
          \x10\x86q\x11Rq\x12\x86q\x13X\x08\0\0\0no arrayq\x14h\x0eX\0\0\0\0q\x15U\x07latin-1q\
          \x16\x86q\x17Rq\x18\x86q\x19X\x07\0\0\0numbersq\x1a]q\x1b(K\0K\xffM\0\x01Jp\x11\x01\
          \0J\xff\xff\xff\xffI2147483648\n\x8a\x08\0\0\0\0\0\0\0\x80\x8a\t\0\0\0\0\0\0\0\0\x01\
          \x8a\t\0\0\0\0\0\0\0\0\xff\x8a\t\0\0\0\0\0\0\0\0\x80G?\xf8\0\0\0\0\0\0G\xbf\xd0\0\0\
          \0\0\0\0e\x86q\x1cX\x05\0\0\0flagsq\x1d\x88\x89N\x87q\x1e\x86q\x1fX\x04\0\0\0pairq K\
          \x01K\x02\x86q!\x86q\"X\x06\0\0\0singleq#K\x01\x85q$\x86q%X\x04\0\0\0manyq&(K\x01K\
          \x02K\x03K\x04tq'\x86q(X\x07\0\0\0nothingq))\x86q*X\x06\0\0\0nestedq+}q,X\x04\0\0\0l\
          istq-]q.(]q/}q0es\x86q1e.",
    ),
    (
        "Python 2, cPickle, protocol 0",
        b"(lp1\n(Vimage\np2\nS\"\\xff\\x00\\n'\\\\raw\"\np3\ntp4\na(Vempty\np5\nS''\ntp6\na(Va\
          scii\np7\nS'plain'\np8\ntp9\na(Vtext\np10\nVh\xe9llo \\u2603 \\U0001f600\\u005c\\u00\
          0a\\u005cu0041\np11\ntp12\na(Varray\np13\nc__builtin__\nbytearray\np14\n(V\x80\x01\n\
          S'latin-1'\ntRp15\ntp16\na(Vno array\np17\ng14\n(V\nS'latin-1'\ntRp18\ntp19\na(Vnumb\
          ers\np20\n(lp21\nI0\naI255\naI256\naI70000\naI-1\naI2147483648\naL-92233720368547758\
          08L\naL18446744073709551616L\naL-18446744073709551616L\naL-2361183241434822606848L\n\
          aF1.5\naF-0.25\natp22\na(Vflags\np23\n(I01\nI00\nNtp24\ntp25\na(Vpair\np26\n(I1\nI2\
          \ntp27\ntp28\na(Vsingle\np29\n(I1\ntp30\ntp31\na(Vmany\np32\n(I1\nI2\nI3\nI4\ntp33\n\
          tp34\na(Vnothing\np35\n(ttp36\na(Vnested\np37\n(dp38\nVlist\np39\n(lp40\n(lp41\na(dp\
          42\nastp43\na.",
    ),
    (
        "Python 2, cPickle, protocol 1",
        b"]q\x01((X\x05\0\0\0imageq\x02U\x08\xff\0\n'\\rawq\x03tq\x04(X\x05\0\0\0emptyq\x05U\0\
          tq\x06(X\x05\0\0\0asciiq\x07U\x05plainq\x08tq\t(X\x04\0\0\0textq\nX\x17\0\0\0h\xc3\
          \xa9llo \xe2\x98\x83 \xf0\x9f\x98\x80\\\n\\u0041q\x0btq\x0c(X\x05\0\0\0arrayq\rc__bu\
          iltin__\nbytearray\nq\x0e(X\x03\0\0\0\xc2\x80\x01U\x07latin-1tRq\x0ftq\x10(X\x08\0\0\
          \0no arrayq\x11h\x0e(X\0\0\0\0U\x07latin-1tRq\x12tq\x13(X\x07\0\0\0numbersq\x14]q\
          \x15(K\0K\xffM\0\x01Jp\x11\x01\0J\xff\xff\xff\xffI2147483648\nL-9223372036854775808L\
          \nL18446744073709551616L\nL-18446744073709551616L\nL-2361183241434822606848L\nG?\xf8\
          \0\0\0\0\0\0G\xbf\xd0\0\0\0\0\0\0etq\x16(X\x05\0\0\0flagsq\x17(I01\nI00\nNtq\x18tq\
          \x19(X\x04\0\0\0pairq\x1a(K\x01K\x02tq\x1btq\x1c(X\x06\0\0\0singleq\x1d(K\x01tq\x1et\
          q\x1f(X\x04\0\0\0manyq (K\x01K\x02K\x03K\x04tq!tq\"(X\x07\0\0\0nothingq#)tq$(X\x06\0\
          \0\0nestedq%}q&X\x04\0\0\0listq']q((]q)}q*estq+e.",
    ),
    (
        "Python 2, cPickle, protocol 2",
        b"\x80\x02]q\x01(X\x05\0\0\0imageq\x02U\x08\xff\0\n'\\rawq\x03\x86q\x04X\x05\0\0\0empt\
          yq\x05U\0\x86q\x06X\x05\0\0\0asciiq\x07U\x05plainq\x08\x86q\tX\x04\0\0\0textq\nX\x17\
          \0\0\0h\xc3\xa9llo \xe2\x98\x83 \xf0\x9f\x98\x80\\\n\\u0041q\x0b\x86q\x0cX\x05\0\0\0\
          arrayq\rc__builtin__\nbytearray\nq\x0eX\x03\0\0\0\xc2\x80\x01U\x07latin-1\x86Rq\x0f\
          \x86q\x10X\x08\0\0\0no arrayq\x11h\x0eX\0\0\0\0U\x07latin-1\x86Rq\x12\x86q\x13X\x07\
          \0\0\0numbersq\x14]q\x15(K\0K\xffM\0\x01Jp\x11\x01\0J\xff\xff\xff\xffI2147483648\n\
          \x8a\x08\0\0\0\0\0\0\0\x80\x8a\t\0\0\0\0\0\0\0\0\x01\x8a\t\0\0\0\0\0\0\0\0\xff\x8a\t\
          \0\0\0\0\0\0\0\0\x80G?\xf8\0\0\0\0\0\0G\xbf\xd0\0\0\0\0\0\0e\x86q\x16X\x05\0\0\0flag\
          sq\x17\x88\x89N\x87q\x18\x86q\x19X\x04\0\0\0pairq\x1aK\x01K\x02\x86q\x1b\x86q\x1cX\
          \x06\0\0\0singleq\x1dK\x01\x85q\x1e\x86q\x1fX\x04\0\0\0manyq (K\x01K\x02K\x03K\x04tq\
          !\x86q\"X\x07\0\0\0nothingq#)\x86q$X\x06\0\0\0nestedq%}q&X\x04\0\0\0listq']q((]q)}q*\
          es\x86q+e.",
    ),
    (
        "Python 3, protocol 0",
        b"(lp0\n(Vimage\np1\nc_codecs\nencode\np2\n(V\xff\\u0000\\u000a'\\u005craw\np3\nVlatin\
          1\np4\ntp5\nRp6\ntp7\na(Vempty\np8\nc__builtin__\nbytes\np9\n(tRp10\ntp11\na(Vascii\
          \np12\ng2\n(Vplain\np13\ng4\ntp14\nRp15\ntp16\na(Vtext\np17\nVh\xe9llo \\u2603 \\U00\
          01f600\\u005c\\u000a\\u005cu0041\np18\ntp19\na(Varray\np20\nc__builtin__\nbytearray\
          \np21\n(g2\n(V\x80\x01\np22\ng4\ntp23\nRp24\ntp25\nRp26\ntp27\na(Vno array\np28\ng21\
          \n(tRp29\ntp30\na(Vnumbers\np31\n(lp32\nI0\naI255\naI256\naI70000\naI-1\naL214748364\
          8L\naL-9223372036854775808L\naL18446744073709551616L\naL-18446744073709551616L\naL-2\
          361183241434822606848L\naF1.5\naF-0.25\natp33\na(Vflags\np34\n(I01\nI00\nNtp35\ntp36\
          \na(Vpair\np37\n(I1\nI2\ntp38\ntp39\na(Vsingle\np40\n(I1\ntp41\ntp42\na(Vmany\np43\n\
          (I1\nI2\nI3\nI4\ntp44\ntp45\na(Vnothing\np46\n(ttp47\na(Vnested\np48\n(dp49\nVlist\n\
          p50\n(lp51\n(lp52\na(dp53\nastp54\na.",
    ),
    (
        "Python 3, protocol 1",
        b"]q\0((X\x05\0\0\0imageq\x01c_codecs\nencode\nq\x02(X\t\0\0\0\xc3\xbf\0\n'\\rawq\x03X\
          \x06\0\0\0latin1q\x04tq\x05Rq\x06tq\x07(X\x05\0\0\0emptyq\x08c__builtin__\nbytes\nq\
          \t)Rq\ntq\x0b(X\x05\0\0\0asciiq\x0ch\x02(X\x05\0\0\0plainq\rh\x04tq\x0eRq\x0ftq\x10(\
          X\x04\0\0\0textq\x11X\x17\0\0\0h\xc3\xa9llo \xe2\x98\x83 \xf0\x9f\x98\x80\\\n\\u0041\
          q\x12tq\x13(X\x05\0\0\0arrayq\x14c__builtin__\nbytearray\nq\x15(h\x02(X\x03\0\0\0\
          \xc2\x80\x01q\x16h\x04tq\x17Rq\x18tq\x19Rq\x1atq\x1b(X\x08\0\0\0no arrayq\x1ch\x15)R\
          q\x1dtq\x1e(X\x07\0\0\0numbersq\x1f]q (K\0K\xffM\0\x01Jp\x11\x01\0J\xff\xff\xff\xffL\
          2147483648L\nL-9223372036854775808L\nL18446744073709551616L\nL-18446744073709551616L\
          \nL-2361183241434822606848L\nG?\xf8\0\0\0\0\0\0G\xbf\xd0\0\0\0\0\0\0etq!(X\x05\0\0\0\
          flagsq\"(I01\nI00\nNtq#tq$(X\x04\0\0\0pairq%(K\x01K\x02tq&tq'(X\x06\0\0\0singleq((K\
          \x01tq)tq*(X\x04\0\0\0manyq+(K\x01K\x02K\x03K\x04tq,tq-(X\x07\0\0\0nothingq.)tq/(X\
          \x06\0\0\0nestedq0}q1X\x04\0\0\0listq2]q3(]q4}q5estq6e.",
    ),
    (
        "Python 3, protocol 2",
        b"\x80\x02]q\0(X\x05\0\0\0imageq\x01c_codecs\nencode\nq\x02X\t\0\0\0\xc3\xbf\0\n'\\raw\
          q\x03X\x06\0\0\0latin1q\x04\x86q\x05Rq\x06\x86q\x07X\x05\0\0\0emptyq\x08c__builtin__\
          \nbytes\nq\t)Rq\n\x86q\x0bX\x05\0\0\0asciiq\x0ch\x02X\x05\0\0\0plainq\rh\x04\x86q\
          \x0eRq\x0f\x86q\x10X\x04\0\0\0textq\x11X\x17\0\0\0h\xc3\xa9llo \xe2\x98\x83 \xf0\x9f\
          \x98\x80\\\n\\u0041q\x12\x86q\x13X\x05\0\0\0arrayq\x14c__builtin__\nbytearray\nq\x15\
          h\x02X\x03\0\0\0\xc2\x80\x01q\x16h\x04\x86q\x17Rq\x18\x85q\x19Rq\x1a\x86q\x1bX\x08\0\
          \0\0no arrayq\x1ch\x15)Rq\x1d\x86q\x1eX\x07\0\0\0numbersq\x1f]q (K\0K\xffM\0\x01Jp\
          \x11\x01\0J\xff\xff\xff\xff\x8a\x05\0\0\0\x80\0\x8a\x08\0\0\0\0\0\0\0\x80\x8a\t\0\0\
          \0\0\0\0\0\0\x01\x8a\t\0\0\0\0\0\0\0\0\xff\x8a\t\0\0\0\0\0\0\0\0\x80G?\xf8\0\0\0\0\0\
          \0G\xbf\xd0\0\0\0\0\0\0e\x86q!X\x05\0\0\0flagsq\"\x88\x89N\x87q#\x86q$X\x04\0\0\0pai\
          rq%K\x01K\x02\x86q&\x86q'X\x06\0\0\0singleq(K\x01\x85q)\x86q*X\x04\0\0\0manyq+(K\x01\
          K\x02K\x03K\x04tq,\x86q-X\x07\0\0\0nothingq.)\x86q/X\x06\0\0\0nestedq0}q1X\x04\0\0\0\
          listq2]q3(]q4}q5es\x86q6e.",
    ),
    (
        "Python 3, protocol 3",
        b"\x80\x03]q\0(X\x05\0\0\0imageq\x01C\x08\xff\0\n'\\rawq\x02\x86q\x03X\x05\0\0\0emptyq\
          \x04C\0q\x05\x86q\x06X\x05\0\0\0asciiq\x07C\x05plainq\x08\x86q\tX\x04\0\0\0textq\nX\
          \x17\0\0\0h\xc3\xa9llo \xe2\x98\x83 \xf0\x9f\x98\x80\\\n\\u0041q\x0b\x86q\x0cX\x05\0\
          \0\0arrayq\rcbuiltins\nbytearray\nq\x0eC\x02\x80\x01q\x0f\x85q\x10Rq\x11\x86q\x12X\
          \x08\0\0\0no arrayq\x13h\x0e)Rq\x14\x86q\x15X\x07\0\0\0numbersq\x16]q\x17(K\0K\xffM\
          \0\x01Jp\x11\x01\0J\xff\xff\xff\xff\x8a\x05\0\0\0\x80\0\x8a\x08\0\0\0\0\0\0\0\x80\
          \x8a\t\0\0\0\0\0\0\0\0\x01\x8a\t\0\0\0\0\0\0\0\0\xff\x8a\t\0\0\0\0\0\0\0\0\x80G?\xf8\
          \0\0\0\0\0\0G\xbf\xd0\0\0\0\0\0\0e\x86q\x18X\x05\0\0\0flagsq\x19\x88\x89N\x87q\x1a\
          \x86q\x1bX\x04\0\0\0pairq\x1cK\x01K\x02\x86q\x1d\x86q\x1eX\x06\0\0\0singleq\x1fK\x01\
          \x85q \x86q!X\x04\0\0\0manyq\"(K\x01K\x02K\x03K\x04tq#\x86q$X\x07\0\0\0nothingq%)\
          \x86q&X\x06\0\0\0nestedq'}q(X\x04\0\0\0listq)]q*(]q+}q,es\x86q-e.",
    ),
    (
        "Python 3, protocol 4",
        b"\x80\x04\x95j\x01\0\0\0\0\0\0]\x94(\x8c\x05image\x94C\x08\xff\0\n'\\raw\x94\x86\x94\
          \x8c\x05empty\x94C\0\x94\x86\x94\x8c\x05ascii\x94C\x05plain\x94\x86\x94\x8c\x04text\
          \x94\x8c\x17h\xc3\xa9llo \xe2\x98\x83 \xf0\x9f\x98\x80\\\n\\u0041\x94\x86\x94\x8c\
          \x05array\x94\x8c\x08builtins\x94\x8c\tbytearray\x94\x93\x94C\x02\x80\x01\x94\x85\
          \x94R\x94\x86\x94\x8c\x08no array\x94h\x10)R\x94\x86\x94\x8c\x07numbers\x94]\x94(K\0\
          K\xffM\0\x01Jp\x11\x01\0J\xff\xff\xff\xff\x8a\x05\0\0\0\x80\0\x8a\x08\0\0\0\0\0\0\0\
          \x80\x8a\t\0\0\0\0\0\0\0\0\x01\x8a\t\0\0\0\0\0\0\0\0\xff\x8a\t\0\0\0\0\0\0\0\0\x80G?\
          \xf8\0\0\0\0\0\0G\xbf\xd0\0\0\0\0\0\0e\x86\x94\x8c\x05flags\x94\x88\x89N\x87\x94\x86\
          \x94\x8c\x04pair\x94K\x01K\x02\x86\x94\x86\x94\x8c\x06single\x94K\x01\x85\x94\x86\
          \x94\x8c\x04many\x94(K\x01K\x02K\x03K\x04t\x94\x86\x94\x8c\x07nothing\x94)\x86\x94\
          \x8c\x06nested\x94}\x94\x8c\x04list\x94]\x94(]\x94}\x94es\x86\x94e.",
    ),
    (
        "Python 3, protocol 5",
        b"\x80\x05\x95Y\x01\0\0\0\0\0\0]\x94(\x8c\x05image\x94C\x08\xff\0\n'\\raw\x94\x86\x94\
          \x8c\x05empty\x94C\0\x94\x86\x94\x8c\x05ascii\x94C\x05plain\x94\x86\x94\x8c\x04text\
          \x94\x8c\x17h\xc3\xa9llo \xe2\x98\x83 \xf0\x9f\x98\x80\\\n\\u0041\x94\x86\x94\x8c\
          \x05array\x94\x96\x02\0\0\0\0\0\0\0\x80\x01\x94\x86\x94\x8c\x08no array\x94\x96\0\0\
          \0\0\0\0\0\0\x94\x86\x94\x8c\x07numbers\x94]\x94(K\0K\xffM\0\x01Jp\x11\x01\0J\xff\
          \xff\xff\xff\x8a\x05\0\0\0\x80\0\x8a\x08\0\0\0\0\0\0\0\x80\x8a\t\0\0\0\0\0\0\0\0\x01\
          \x8a\t\0\0\0\0\0\0\0\0\xff\x8a\t\0\0\0\0\0\0\0\0\x80G?\xf8\0\0\0\0\0\0G\xbf\xd0\0\0\
          \0\0\0\0e\x86\x94\x8c\x05flags\x94\x88\x89N\x87\x94\x86\x94\x8c\x04pair\x94K\x01K\
          \x02\x86\x94\x86\x94\x8c\x06single\x94K\x01\x85\x94\x86\x94\x8c\x04many\x94(K\x01K\
          \x02K\x03K\x04t\x94\x86\x94\x8c\x07nothing\x94)\x86\x94\x8c\x06nested\x94}\x94\x8c\
          \x04list\x94]\x94(]\x94}\x94es\x86\x94e.",
    ),
];
