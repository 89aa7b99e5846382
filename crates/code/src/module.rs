//! What is kept of a source file once its tree was walked.

use std::path::PathBuf;

use crate::grammar::Language;

/// A source file.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) path: PathBuf,
    pub(crate) language: Language,
    /// It is a test, by its name or folder.
    pub(crate) test: bool,
    pub(crate) lines: u32,
    /// Why it could not be read as a tree.
    pub(crate) unread: Option<&'static str>,
    /// The first line that is not of its language.
    pub(crate) fault: Option<u32>,
    /// It was made by a program, or by others.
    pub(crate) foreign: bool,
    /// It is a program for the terminal: it says so in its first line, or reads its arguments.
    pub(crate) terminal: bool,
    /// Go: the package; else nothing.
    pub(crate) package: String,
    pub(crate) functions: Vec<Function>,
    pub(crate) classes: Vec<Class>,
    pub(crate) imports: Vec<Import>,
    pub(crate) calls: Vec<Call>,
    /// Clients that the module keeps.
    pub(crate) globals: Vec<Global>,
    /// Names of types that hand something in where they are used.
    pub(crate) handed: Vec<String>,
    pub(crate) types: Types,
    /// Calls of promises in a front end.
    pub(crate) promises: Vec<Promise>,
    /// Types of its own that are a success or a failure.
    pub(crate) results: Vec<String>,
}

/// A function, method, or a function that has a name because it was assigned to one.
#[derive(Debug, Default)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: u32,
    /// Others may call it.
    pub(crate) public: bool,
    /// It stands in the module itself.
    pub(crate) top: bool,
    pub(crate) asynchronous: bool,
    pub(crate) documented: bool,
    pub(crate) typed: bool,
    /// It answers requests.
    pub(crate) handler: bool,
    /// Something is handed in to it, or to its class or the function around it.
    pub(crate) injected: bool,
    /// It belongs to this class.
    pub(crate) class: Option<usize>,
    /// It is inside this function.
    pub(crate) inside: Option<usize>,
    /// Its parameters with their types, where that matters.
    pub(crate) parameters: Vec<(String, String)>,
    /// Names that it uses: of handlers and asynchronous functions, those that the module imports or keeps.
    pub(crate) uses: Vec<String>,
}

/// A class, or another type of one's own.
#[derive(Debug, Default)]
pub(crate) struct Class {
    pub(crate) name: String,
    pub(crate) line: u32,
    pub(crate) public: bool,
    pub(crate) top: bool,
    pub(crate) documented: bool,
    /// Its handlers are in it: a controller, a class of views.
    pub(crate) controller: bool,
    /// Its constructor takes something.
    pub(crate) constructed: bool,
}

/// An import.
#[derive(Debug, Default)]
pub(crate) struct Import {
    /// As it is written: `..a.b`, `./x`, `crate::a`.
    pub(crate) module: String,
    /// Name there (`*` for the module itself), and name here.
    pub(crate) names: Vec<(String, String)>,
    pub(crate) line: u32,
    /// Only for types, or only when somebody checks them.
    pub(crate) types_only: bool,
    /// It may fail: a `try` around it, or a condition.
    pub(crate) guarded: bool,
    /// Inside a function: it comes later than the module.
    pub(crate) late: bool,
}

/// A call of something that is looked for.
#[derive(Debug)]
pub(crate) struct Call {
    /// With its imports resolved: `time.sleep`.
    pub(crate) name: String,
    /// As it is written.
    pub(crate) written: String,
    pub(crate) line: u32,
    /// The function that it is in.
    pub(crate) function: Option<usize>,
    pub(crate) awaited: bool,
    /// Only when a debug switch is on, or not in production.
    pub(crate) debug_only: bool,
    /// Under `if __name__ == "__main__"`, in Rust's `mod tests`, while a server starts to listen.
    pub(crate) apart: bool,
    /// A comment at its line says that it is meant.
    pub(crate) waived: bool,
    /// Its first argument names a file or stream to print to.
    pub(crate) directed: bool,
}

/// A name of the module that holds a client.
#[derive(Debug)]
pub(crate) struct Global {
    pub(crate) name: String,
    /// What made it.
    pub(crate) made_by: String,
    pub(crate) line: u32,
}

/// What a file does with types.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Types {
    /// Places that say a type.
    pub(crate) said: u32,
    pub(crate) any: u32,
    /// Where the first `any` is.
    pub(crate) first: u32,
    pub(crate) ignored: u32,
    pub(crate) expected_errors: u32,
    pub(crate) unchecked_file: bool,
    pub(crate) non_null: u32,
}

/// A call that gives a promise, and what becomes of its failure.
#[derive(Debug)]
pub(crate) struct Promise {
    pub(crate) name: String,
    pub(crate) line: u32,
    pub(crate) function: Option<usize>,
    pub(crate) fate: Fate,
}

/// What becomes of a promise's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing handles it.
    Floating,
    /// A `try` is around it, or a `catch` behind it.
    Caught,
    /// It becomes a value of a typed library.
    Typed,
    /// The caller's: it is returned or awaited without a `try`.
    PassedOn,
}

impl Module {
    pub(crate) fn new(path: PathBuf, language: Language) -> Self {
        Self {
            path,
            language,
            test: false,
            lines: 0,
            unread: None,
            fault: None,
            foreign: false,
            terminal: false,
            package: String::new(),
            functions: Vec::new(),
            classes: Vec::new(),
            imports: Vec::new(),
            calls: Vec::new(),
            globals: Vec::new(),
            handed: Vec::new(),
            types: Types::default(),
            promises: Vec::new(),
            results: Vec::new(),
        }
    }

    /// A place in it, for people.
    pub(crate) fn at(&self, line: u32) -> String {
        format!("{}:{line}", self.path.display())
    }

    /// The function, and those around it.
    pub(crate) fn around(&self, function: Option<usize>) -> impl Iterator<Item = &Function> {
        std::iter::successors(function.and_then(|at| self.functions.get(at)), |inner| self.functions.get(inner.inside?))
    }
}

impl Types {
    /// Counts what a comment takes away from the compiler.
    pub(crate) fn note_comment(&mut self, text: &str) {
        self.ignored += u32::from(text.contains("@ts-ignore"));
        self.expected_errors += u32::from(text.contains("@ts-expect-error"));
        self.unchecked_file |= text.contains("@ts-nocheck");
    }
}
