"""A file of each format that the schema's `formats` knows: a real one if a library can write
it, otherwise only its header."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import wave
import zipfile

import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()


def picture(name, mode="RGB", **more):
    stream = io.BytesIO()
    Image.new(mode, (8, 6), 77).save(stream, name, **more)
    return stream.getvalue()


def sound():
    stream = io.BytesIO()
    with wave.open(stream, "wb") as writer:
        writer.setparams((1, 2, 8000, 0, "NONE", ""))
        writer.writeframes(bytes(400))
    return stream.getvalue()


def archive(*names, first=None):
    """A zip of empty files, and of one that is stored before them with its content."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as writer:
        if first:
            writer.writestr(*first)
        for name in names:
            writer.writestr(name, "")
    return stream.getvalue()


def office(folder):
    return archive("[Content_Types].xml", "_rels/.rels", folder + "/document.xml")


def package(media_type):
    return archive("content.xml", first=("mimetype", media_type))


def tape():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as writer:
        writer.addfile(tarfile.TarInfo("a"))
    return stream.getvalue()


def brands(first, *others):
    listed = b"".join([first, bytes(4), *others])
    return struct.pack(">I", 8 + len(listed)) + b"ftyp" + listed + b"\0\0\0\x08free"


def matroska(kind):
    return b"\x1a\x45\xdf\xa3\x93\x42\x86\x81\x01\x42\x82" + bytes([0x80 + len(kind)]) + kind


MP3 = (b"\xff\xf3\x18\xc0" + bytes(32)) * 3
AAC = (b"\xff\xf1\x50\x80\x01\x1f\xfc" + bytes(1)) * 3
OPENDOCUMENT = "application/vnd.oasis.opendocument."

# A file of each format that is recognized by its content.
MARKED = {
    "png": picture("PNG"),
    "jpeg": picture("JPEG"),
    "gif": picture("GIF", "L"),
    "webp": picture("WEBP"),
    "bmp": picture("BMP"),
    "tiff": picture("TIFF"),
    "avif": picture("AVIF"),
    "heic": picture("HEIF"),
    "jxl": b"\xff\x0a" + bytes(20),
    "jp2": picture("JPEG2000"),
    "svg": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "ico": picture("ICO"),
    "psd": b"8BPS\0\x01" + bytes(20),
    "exr": b"\x76\x2f\x31\x01" + bytes(20),
    "hdr": b"#?RADIANCE\n" + bytes(20),
    "pnm": picture("PPM"),
    "wav": sound(),
    "flac": b"fLaC\0\0\0\x22" + bytes(34),
    "aac": AAC,
    "mp3": MP3,
    "opus": b"OggS\0\x02" + bytes(22) + b"OpusHead" + bytes(11),
    "ogg": b"OggS\0\x02" + bytes(22) + b"\x01vorbis" + bytes(23),
    "aiff": b"FORM\0\0\0\x20AIFFCOMM" + bytes(20),
    "au": b".snd\0\0\0\x18" + bytes(24),
    "amr": b"#!AMR\n" + bytes(10),
    "caf": b"caff\0\x01\0\0desc" + bytes(20),
    "mid": b"MThd\0\0\0\x06\0\0\0\x01\0\x60",
    "3gp": brands(b"3gp4", b"isom"),
    "mov": brands(b"qt  "),
    "mp4": brands(b"isom", b"iso2", b"avc1", b"mp41"),
    "m4a": brands(b"M4A ", b"mp42", b"isom"),
    "webm": matroska(b"webm"),
    "mkv": matroska(b"matroska"),
    "avi": b"RIFF\x10\0\0\0AVI LIST" + bytes(12),
    "mpeg": b"\0\0\x01\xba" + bytes(20),
    "ts": (b"G" + bytes(187)) * 3,
    "flv": b"FLV\x01\x05\0\0\0\x09" + bytes(4),
    "asf": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(20),
    "pdf": picture("PDF"),
    "ps": b"%!PS-Adobe-3.0\n",
    "rtf": b"{\\rtf1 a}",
    "docx": office("word"),
    "xlsx": office("xl"),
    "pptx": office("ppt"),
    "odt": package(OPENDOCUMENT + "text"),
    "ods": package(OPENDOCUMENT + "spreadsheet"),
    "odp": package(OPENDOCUMENT + "presentation"),
    "epub": package("application/epub+zip"),
    "dicom": bytes(128) + b"DICM" + bytes(8),
    "zip": archive("a.txt"),
    "gz": gzip.compress(b"a"),
    "tar": tape(),
    "bz2": bz2.compress(b"a"),
    "xz": lzma.compress(b"a"),
    "zst": b"\x28\xb5\x2f\xfd\x04\0" + bytes(8),
    "7z": b"7z\xbc\xaf\x27\x1c\0\x04" + bytes(24),
    "rar": b"Rar!\x1a\x07\x01\0" + bytes(8),
    "parquet": b"PAR1" + bytes(8) + b"PAR1",
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(8),
    "npy": b"\x93NUMPY\x01\0v\0" + bytes(20),
    "glb": b"glTF\x02\0\0\0" + bytes(8),
}
# The formats whose files are of others as well.
ALSO = {
    "m4a": {"mp4"},
    "mp4": {"m4a"},
    "opus": {"ogg"},
    **dict.fromkeys(["docx", "xlsx", "pptx", "odt", "ods", "odp", "epub"], {"zip"}),
}
# The same formats as other programs write them.
OTHERS = [
    ("avif", brands(b"mif1", b"avif", b"miaf")),
    ("heic", brands(b"mif1", b"heic")),
    ("jxl", b"\0\0\0\x0cJXL \r\n\x87\n" + brands(b"jxl ")),
    ("svg", b"\xef\xbb\xbf \n<svg/>"),
    ("mp3", b"ID3\x04\0\0\0\0\0\x05" + bytes(5) + MP3),
    ("mp3", b"ID3\x03\0\0\0\0\x01\0" + bytes(128) + b"\xff\xfb\x90\0" + bytes(413)),
    ("aac", b"ID3\x04\0\0\0\0\0\x05" + bytes(5) + AAC),
    ("flac", b"ID3\x04\0\0\0\0\0\x05" + bytes(5) + b"fLaC\0\0\0\x22"),
    ("mov", b"\0\0\0\x08wide\0\0\0\x10mdat" + bytes(8)),
    ("mp4", brands(b"M4V ", b"mp42")),
    ("webm", b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f\x42\x82\x84webm"),
    ("pdf", b"\n\n%PDF-1.7\n"),
    ("wav", b"RF64\xff\xff\xff\xffWAVEds64" + bytes(8)),
    ("zip", b"PK\x05\x06" + bytes(18)),
    ("pnm", b"P6\n# by hand\n1 1\n255\n..."),
]
# Files whose content has no known format, although some begin like one.
UNRECOGNIZED = {
    "text": b"a text\n",
    "BM": b"BMW, Audi\n",
    "ID": b"ID, name\n",
    "P5": b"P5 is a play\n",
    "UTF-16": b"\xff\xfea\0b\0c\0d\0",
    "numbers": struct.pack("<8d", *range(8)),
    "zeros": bytes(600),
}
UNMARKED = [
    "txt",
    "csv",
    "tsv",
    "json",
    "jsonl",
    "xml",
    "html",
    "md",
    "yaml",
    "gltf",
    "obj",
    "stl",
    "ply",
]
