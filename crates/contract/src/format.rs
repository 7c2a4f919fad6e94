//! The table of known file formats: names, media types, and the headers by which files are
//! recognised.
//!
//! To add a format, write a row into the table below. A recogniser of more than one line goes into
//! `headers`.

mod headers;

/// A file format.
#[derive(Debug)]
pub struct Format {
    /// Its short names, the usual one first. They include the endings of file names.
    pub names: &'static [&'static str],
    /// Its media types, the usual one first.
    pub media_types: &'static [&'static str],
    /// Returns true if the content of a file has this format; `None` if the content cannot show the
    /// format.
    pub begins: Option<fn(&[u8]) -> bool>,
}

/// The HEIF family: the short name and the media type of both its formats, and the names of these
/// formats, AVIF and HEIC.
pub const HEIF: ([&str; 2], [&str; 2]) = (["heif", "image/heif"], ["avif", "heic"]);

impl Format {
    const fn new(
        names: &'static [&'static str],
        media_types: &'static [&'static str],
        begins: fn(&[u8]) -> bool,
    ) -> Self {
        Format { names, media_types, begins: Some(begins) }
    }

    /// Creates a format that the content of a file cannot show, such as CSV.
    const fn unmarked(
        names: &'static [&'static str],
        media_types: &'static [&'static str],
    ) -> Self {
        Format { names, media_types, begins: None }
    }

    /// Returns the usual name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.names[0]
    }

    /// Finds a format by a short name or a media type, in lower case.
    #[must_use]
    pub fn find(word: &str) -> Option<&'static Self> {
        let usual = FORMATS.iter().find(|known| known.media_types[0] == word);
        usual.or_else(|| {
            let is_of =
                |known: &&Format| known.names.contains(&word) || known.media_types.contains(&word);
            FORMATS.iter().find(is_of)
        })
    }

    /// Recognises the format of a file by its content.
    #[must_use]
    pub fn recognise(bytes: &[u8]) -> Option<&'static Self> {
        FORMATS.iter().find(|known| known.has(bytes))
    }

    /// Returns true if the content of a file shows this format.
    #[must_use]
    pub fn has(&self, bytes: &[u8]) -> bool {
        self.begins.is_some_and(|begins| begins(bytes))
    }

    /// Returns the usual media type within a media range.
    #[must_use]
    pub fn media_type_in(&self, range: &str) -> Option<&'static str> {
        self.media_types.iter().copied().find(|media_type| is_in(media_type, range))
    }
}

/// Returns true if a media type is in a media range, such as `image/png` in `image/*`.
pub(crate) fn is_in(media_type: &str, range: &str) -> bool {
    match range.strip_suffix('*') {
        Some("*/" | "") => true,
        Some(family) => media_type.starts_with(family),
        None => media_type == range,
    }
}

/// Every known format. A format whose files also match a more general format comes first, such as
/// Opus before Ogg.
pub(crate) const FORMATS: &[Format] = &[
    // Pictures.
    Format::new(&["png"], &["image/png", "image/x-png", "image/apng"], |bytes| {
        bytes.starts_with(b"\x89PNG\r\n\x1a\n")
    }),
    Format::new(
        &["jpeg", "jpg", "jpe", "jfif"],
        &["image/jpeg", "image/jpg", "image/pjpeg"],
        |bytes| bytes.starts_with(b"\xff\xd8\xff"),
    ),
    Format::new(&["gif"], &["image/gif"], |bytes| {
        bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a")
    }),
    Format::new(&["webp"], &["image/webp"], |bytes| headers::is_riff(bytes, b"WEBP")),
    Format::new(&["bmp", "dib"], &["image/bmp", "image/x-ms-bmp", "image/x-bmp"], headers::is_bmp),
    Format::new(&["tiff", "tif"], &["image/tiff", "image/tif"], headers::is_tiff),
    Format::new(&["avif", "avifs"], &["image/avif"], headers::is_avif),
    Format::new(
        &["heic", "heif", "hif"],
        &["image/heic", "image/heif", "image/heic-sequence", "image/heif-sequence"],
        headers::is_heic,
    ),
    Format::new(&["jxl"], &["image/jxl"], |bytes| {
        bytes.starts_with(b"\xff\x0a") || bytes.starts_with(b"\0\0\0\x0cJXL \r\n\x87\n")
    }),
    Format::new(&["jp2", "j2k", "jpx", "jpf"], &["image/jp2", "image/jpx", "image/j2k"], |bytes| {
        bytes.starts_with(b"\0\0\0\x0cjP  \r\n\x87\n") || bytes.starts_with(b"\xff\x4f\xff\x51")
    }),
    Format::new(&["svg"], &["image/svg+xml"], headers::is_svg),
    Format::new(
        &["ico"],
        &["image/vnd.microsoft.icon", "image/x-icon", "image/ico"],
        headers::is_icon,
    ),
    Format::new(&["psd"], &["image/vnd.adobe.photoshop", "image/x-photoshop"], |bytes| {
        bytes.starts_with(b"8BPS\0")
    }),
    Format::new(&["exr"], &["image/x-exr", "image/aces"], |bytes| {
        bytes.starts_with(b"\x76\x2f\x31\x01")
    }),
    Format::new(&["hdr"], &["image/vnd.radiance"], |bytes| {
        bytes.starts_with(b"#?RADIANCE") || bytes.starts_with(b"#?RGBE")
    }),
    Format::new(
        &["pnm", "ppm", "pgm", "pbm"],
        &[
            "image/x-portable-anymap",
            "image/x-portable-pixmap",
            "image/x-portable-graymap",
            "image/x-portable-bitmap",
        ],
        headers::is_netpbm,
    ),
    // Sounds and videos.
    Format::new(
        &["wav", "wave"],
        &["audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"],
        |bytes| headers::is_riff(bytes, b"WAVE"),
    ),
    Format::new(&["flac"], &["audio/flac", "audio/x-flac"], |bytes| {
        headers::behind_tag(bytes).starts_with(b"fLaC")
    }),
    Format::new(&["aac"], &["audio/aac", "audio/x-aac", "audio/aacp"], headers::is_aac),
    Format::new(&["mp3"], &["audio/mpeg", "audio/mp3", "audio/x-mp3"], headers::is_mp3),
    Format::new(&["opus"], &["audio/opus"], headers::is_opus),
    Format::new(
        &["ogg", "oga", "ogv", "ogx"],
        &["audio/ogg", "video/ogg", "application/ogg"],
        |bytes| bytes.starts_with(b"OggS"),
    ),
    Format::new(&["aiff", "aif", "aifc"], &["audio/aiff", "audio/x-aiff"], headers::is_aiff),
    Format::new(&["au", "snd"], &["audio/basic"], |bytes| bytes.starts_with(b".snd\0")),
    Format::new(&["amr"], &["audio/amr"], |bytes| bytes.starts_with(b"#!AMR")),
    Format::new(&["caf"], &["audio/x-caf"], |bytes| bytes.starts_with(b"caff\0")),
    Format::new(&["mid", "midi"], &["audio/midi", "audio/x-midi"], |bytes| {
        bytes.starts_with(b"MThd\0")
    }),
    Format::new(
        &["3gp", "3gpp", "3g2"],
        &["video/3gpp", "audio/3gpp", "video/3gpp2", "audio/3gpp2"],
        headers::is_3gp,
    ),
    Format::new(&["mov", "qt"], &["video/quicktime"], headers::is_quick_time),
    Format::new(
        &["mp4", "m4v"],
        &["video/mp4", "audio/mp4", "video/x-m4v", "application/mp4"],
        headers::is_mp4,
    ),
    // The container of MP4, here for sound alone.
    Format::new(&["m4a", "m4b"], &["audio/mp4", "audio/x-m4a", "audio/m4a"], headers::is_mp4),
    Format::new(&["webm", "weba"], &["video/webm", "audio/webm"], |bytes| {
        headers::is_matroska(bytes, b"webm")
    }),
    Format::new(
        &["mkv", "mka", "matroska"],
        &["video/x-matroska", "video/matroska", "audio/x-matroska", "audio/matroska"],
        |bytes| headers::is_matroska(bytes, b"matroska"),
    ),
    Format::new(
        &["avi"],
        &["video/x-msvideo", "video/avi", "video/msvideo", "video/vnd.avi"],
        |bytes| headers::is_riff(bytes, b"AVI "),
    ),
    Format::new(&["mpeg", "mpg"], &["video/mpeg"], |bytes| {
        bytes.starts_with(b"\0\0\x01\xba") || bytes.starts_with(b"\0\0\x01\xb3")
    }),
    Format::new(&["ts", "m2ts"], &["video/mp2t"], headers::is_transport_stream),
    Format::new(&["flv"], &["video/x-flv"], |bytes| bytes.starts_with(b"FLV\x01")),
    Format::new(
        &["asf", "wmv", "wma"],
        &["video/x-ms-asf", "video/x-ms-wmv", "audio/x-ms-wma", "application/vnd.ms-asf"],
        |bytes| bytes.starts_with(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    ),
    // Documents.
    Format::new(&["pdf"], &["application/pdf", "application/x-pdf"], headers::is_pdf),
    Format::new(&["ps", "eps"], &["application/postscript"], |bytes| bytes.starts_with(b"%!PS")),
    Format::new(&["rtf"], &["application/rtf", "text/rtf"], |bytes| bytes.starts_with(b"{\\rtf")),
    Format::new(
        &["docx"],
        &["application/vnd.openxmlformats-officedocument.wordprocessingml.document"],
        |bytes| headers::is_office(bytes, b"word/"),
    ),
    Format::new(
        &["xlsx"],
        &["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"],
        |bytes| headers::is_office(bytes, b"xl/"),
    ),
    Format::new(
        &["pptx"],
        &["application/vnd.openxmlformats-officedocument.presentationml.presentation"],
        |bytes| headers::is_office(bytes, b"ppt/"),
    ),
    Format::new(&["odt"], &["application/vnd.oasis.opendocument.text"], |bytes| {
        headers::is_package(bytes, b"application/vnd.oasis.opendocument.text")
    }),
    Format::new(&["ods"], &["application/vnd.oasis.opendocument.spreadsheet"], |bytes| {
        headers::is_package(bytes, b"application/vnd.oasis.opendocument.spreadsheet")
    }),
    Format::new(&["odp"], &["application/vnd.oasis.opendocument.presentation"], |bytes| {
        headers::is_package(bytes, b"application/vnd.oasis.opendocument.presentation")
    }),
    Format::new(&["epub"], &["application/epub+zip"], |bytes| {
        headers::is_package(bytes, b"application/epub+zip")
    }),
    Format::new(&["dicom", "dcm"], &["application/dicom"], |bytes| {
        bytes.get(128..132) == Some(b"DICM")
    }),
    // Archives and data.
    Format::new(&["zip"], &["application/zip", "application/x-zip-compressed"], headers::is_zip),
    Format::new(&["gz", "gzip", "tgz"], &["application/gzip", "application/x-gzip"], |bytes| {
        bytes.starts_with(b"\x1f\x8b\x08")
    }),
    Format::new(&["tar"], &["application/x-tar"], |bytes| bytes.get(257..262) == Some(b"ustar")),
    Format::new(&["bz2"], &["application/x-bzip2"], |bytes| {
        bytes.starts_with(b"BZh") && bytes.get(4..10) == Some(b"1AY&SY")
    }),
    Format::new(&["xz"], &["application/x-xz"], |bytes| bytes.starts_with(b"\xfd7zXZ\0")),
    Format::new(&["zst", "zstd"], &["application/zstd"], |bytes| {
        bytes.starts_with(b"\x28\xb5\x2f\xfd")
    }),
    Format::new(&["7z"], &["application/x-7z-compressed"], |bytes| {
        bytes.starts_with(b"7z\xbc\xaf\x27\x1c")
    }),
    Format::new(&["rar"], &["application/vnd.rar", "application/x-rar-compressed"], |bytes| {
        bytes.starts_with(b"Rar!\x1a\x07")
    }),
    Format::new(&["parquet"], &["application/vnd.apache.parquet"], |bytes| {
        bytes.starts_with(b"PAR1")
    }),
    Format::new(&["hdf5", "h5"], &["application/x-hdf5"], |bytes| {
        bytes.starts_with(b"\x89HDF\r\n\x1a\n")
    }),
    Format::new(&["npy"], &["application/x-npy"], |bytes| bytes.starts_with(b"\x93NUMPY")),
    Format::new(&["glb"], &["model/gltf-binary"], |bytes| bytes.starts_with(b"glTF")),
    // Text, and other formats whose files may begin with any bytes.
    Format::unmarked(&["txt"], &["text/plain"]),
    Format::unmarked(&["csv"], &["text/csv"]),
    Format::unmarked(&["tsv"], &["text/tab-separated-values"]),
    Format::unmarked(&["json"], &["application/json"]),
    Format::unmarked(&["jsonl", "ndjson"], &["application/jsonl", "application/x-ndjson"]),
    Format::unmarked(&["xml"], &["application/xml", "text/xml"]),
    Format::unmarked(&["html", "htm"], &["text/html"]),
    Format::unmarked(&["md"], &["text/markdown"]),
    Format::unmarked(&["yaml", "yml"], &["application/yaml", "text/yaml"]),
    Format::unmarked(&["gltf"], &["model/gltf+json"]),
    Format::unmarked(&["obj"], &["model/obj"]),
    Format::unmarked(&["stl"], &["model/stl"]),
    Format::unmarked(&["ply"], &["model/x-ply"]),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_two_formats_have_a_name_or_a_usual_media_type_in_common() {
        let mut seen = HashSet::new();
        for format in FORMATS {
            let usual = &format.media_types[..1];
            for word in format.names.iter().chain(if format.name() == "m4a" { &[] } else { usual })
            {
                assert!(seen.insert(*word), "{word}");
                assert_eq!(word.to_ascii_lowercase(), *word);
                assert_eq!(Format::find(word).map(Format::name), Some(format.name()));
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(start in "(RIFF|ID3|PK\u{3}\u{4}|\0\0\0.ftyp|P6|OggS|BM)?", more: Vec<u8>) {
            let bytes = [start.into_bytes(), more].concat();
            for end in 0..=bytes.len() {
                let _ = Format::recognise(&bytes[..end]);
            }
        }
    }
}
