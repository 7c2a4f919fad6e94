//! The places of a program's files: the folders of its source files, or the file of a compiled
//! program.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf, absolute};

/// The number of words of a command line that are examined.
const MOST_WORDS: usize = 64;

/// The extensions of source files and native libraries.
const SOURCES: &[&str] = &[
    "c", "cc", "cpp", "cu", "cuh", "cxx", "go", "h", "hpp", "java", "jl", "js", "jsx", "kt", "lua",
    "mjs", "cjs", "mts", "cts", "php", "pl", "pm", "pxd", "py", "pyw", "pyx", "r", "rb", "rs",
    "scala", "sh", "so", "swift", "ts", "tsx",
];

/// The places of a program's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Folders whose source files, and those in their subfolders, belong to the program.
    pub(super) folders: Vec<PathBuf>,
    /// Files that belong to the program, whatever their extension.
    pub(super) files: Vec<PathBuf>,
}

impl Places {
    /// Finds the places in the command line that runs the program.
    pub(super) fn of(command: &[OsString], python_path: &str) -> Self {
        let mut places = Places::default();
        for word in command.iter().take(MOST_WORDS) {
            let path = Path::new(word);
            if path.is_file() && (is_source(path) || is_script(path)) {
                if is_installed(path) {
                    // A command of a virtual environment runs code in another folder. Usually
                    // it is the folder of the package that is being developed, and the program is
                    // started in it.
                    places.add_folder(Path::new("."));
                } else {
                    places.add_script(path);
                }
            } else if path.join("__main__.py").is_file() {
                places.add_folder(path);
            }
        }
        // A module, or the target of a launcher, is in the folder in which the program is started.
        let executable = command.first().map(Path::new).filter(|path| path.is_file());
        let names_module = command.iter().take(MOST_WORDS).any(|word| is_module_flag(word));
        if places.folders.is_empty() {
            if executable.is_none() || names_module {
                places.add_folder(Path::new("."));
            }
            // Add the file too, because `-m` may be a flag of a compiled program.
            if let Some(executable) = executable {
                places.add_file(executable);
            }
        }
        for folder in python_path.split(':').filter(|folder| !folder.is_empty()) {
            if Path::new(folder).is_dir() && !folder.contains("site-packages") {
                places.add_folder(Path::new(folder));
            }
        }
        places
    }

    /// Adds a script and its folder, and those of the file behind a link: Python looks for modules
    /// in the folder of that file.
    fn add_script(&mut self, script: &Path) {
        let target = script.is_symlink().then(|| script.canonicalize().ok()).flatten();
        for script in [Some(script.to_owned()), target].into_iter().flatten() {
            self.add_folder(script.parent().unwrap_or(Path::new("")));
            self.add_file(&script);
        }
    }

    fn add_folder(&mut self, folder: &Path) {
        let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        add(&mut self.folders, here);
    }

    fn add_file(&mut self, file: &Path) {
        add(&mut self.files, file);
    }
}

fn add(known: &mut Vec<PathBuf>, path: &Path) {
    if let Ok(path) = absolute(path)
        && !known.contains(&path)
    {
        known.push(path);
    }
}

/// Returns true if a file is a source file by its name. The temporary files of editors are hidden
/// or have another extension.
pub(super) fn is_source(path: &Path) -> bool {
    let is_hidden = path.file_name().is_some_and(is_hidden);
    let extension = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    !is_hidden && extension.is_some_and(|extension| SOURCES.contains(&extension.as_str()))
}

/// Returns true if a folder may contain files of the program: it is not hidden, and not filled by
/// tools.
pub(super) fn may_have_sources(folder: &Path) -> bool {
    const FILLED: &[&str] = &["__pycache__", "node_modules", "site-packages"];
    // The marks of virtual environments, of conda's, and of caches such as cargo's `target`.
    const MARKS: &[&str] = &["pyvenv.cfg", "conda-meta", "CACHEDIR.TAG"];
    let Some(name) = folder.file_name() else { return false };
    !is_hidden(name)
        && !FILLED.iter().any(|filled| name == *filled)
        && !MARKS.iter().any(|mark| folder.join(mark).exists())
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Returns true if a file is a script that names its interpreter in its first line.
fn is_script(path: &Path) -> bool {
    let mut start = [0; 2];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"#!"
}

/// Returns true if a script is a command of a virtual environment.
fn is_installed(script: &Path) -> bool {
    let environment = script.parent().and_then(Path::parent);
    environment.is_some_and(|environment| environment.join("pyvenv.cfg").is_file())
}

/// Returns true if a word may be Python's `-m`, also joined with other flags or the module's name.
fn is_module_flag(word: &OsStr) -> bool {
    let word = word.as_encoded_bytes();
    word.starts_with(b"-") && !word.starts_with(b"--") && word.contains(&b'm')
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir, write};

    use super::*;

    fn places(words: &[&Path]) -> Places {
        let words: Vec<OsString> = words.iter().map(|word| word.as_os_str().to_owned()).collect();
        Places::of(&words, "")
    }

    #[test]
    fn a_program_is_found_on_its_command_line() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let [script, tool, binary] = ["model.py", "tool", "binary"].map(|name| root.join(name));
        let package = root.join("package");
        create_dir(&package).unwrap();
        write(package.join("__main__.py"), "").unwrap();
        write(&script, "").unwrap();
        write(&tool, "#!/usr/bin/env python3\n").unwrap();
        write(&binary, b"\x7fELF").unwrap();
        let here = absolute(".").unwrap();

        let of_script = Places { folders: vec![root.clone()], files: vec![script.clone()] };
        assert_eq!(places(&[&binary, &script]), of_script);
        assert_eq!(places(&[Path::new("uv"), Path::new("run"), &script]), of_script);
        let of_tool = Places { folders: vec![root.clone()], files: vec![tool.clone()] };
        assert_eq!(places(&[&tool]), of_tool);
        let of_package = Places { folders: vec![package.clone()], files: Vec::new() };
        assert_eq!(places(&[&binary, &package]), of_package);
        let of_binary = Places { folders: Vec::new(), files: vec![binary.clone()] };
        assert_eq!(places(&[&binary]), of_binary);
        let of_both = Places { folders: vec![here.clone()], files: vec![binary.clone()] };
        assert_eq!(places(&[&binary, Path::new("-um"), Path::new("pkg.model")]), of_both);
        let of_here = Places { folders: vec![here], files: Vec::new() };
        assert_eq!(places(&[Path::new("uv"), Path::new("run"), Path::new("serve")]), of_here);
    }

    #[test]
    fn modules_that_python_finds_by_its_path_belong_to_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let packages = folder.path().join("site-packages");
        create_dir(&packages).unwrap();
        let path = format!("{}::/nonexistent:{}", folder.path().display(), packages.display());
        let places = Places::of(&["uv".into()], &path);
        assert_eq!(places.folders[1..], [folder.path()]);
    }

    #[test]
    fn source_files_count_and_files_of_tools_and_editors_do_not() {
        for name in ["model.py", "a/b.PY", "kernel.cu", "index.js", "native.so"] {
            assert!(is_source(Path::new(name)), "{name}");
        }
        for name in
            [".#model.py", ".model.py.swp", "model.py~", "#model.py#", "4913", "log.txt", "x.pyc"]
        {
            assert!(!is_source(Path::new(name)), "{name}");
        }
        let folder = tempfile::tempdir().unwrap();
        for (name, mark) in
            [("mine", "pyvenv.cfg"), ("out", "CACHEDIR.TAG"), ("__pycache__", "x"), (".git", "x")]
        {
            create_dir(folder.path().join(name)).unwrap();
            write(folder.path().join(name).join(mark), "").unwrap();
            assert!(!may_have_sources(&folder.path().join(name)), "{name}");
        }
        create_dir(folder.path().join("env")).unwrap();
        assert!(may_have_sources(&folder.path().join("env")));
    }
}
