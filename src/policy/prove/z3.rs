//! Z3 in the place of cvc5: the same questions, with sets in Z3's words.
//!
//! `cedar-policy-symcc` writes sets as cvc5 knows them. Z3's are functions to truth values, and may
//! have no end. So what it proves holds of finite sets too; a set without end in one of its examples
//! is cut to the values that the example names, and whoever asked has the example confirmed.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy_symcc::SmtLibScript as _;
use cedar_policy_symcc::solver::{Decision, DecisionWithModel, LocalSolver, Solver, SolverError};
use tokio::io::AsyncWriteExt as _;

/// What makes models readable: nothing named, nothing left out.
pub(super) const OPTIONS: [&str; 3] = [
    "pp.min_alias_size=1000000",
    "pp.max_depth=1000000",
    "model.inline_def=true",
];

/// A solver's process; what is written for Z3 is kept back until it is asked.
#[derive(Debug)]
pub(super) enum Bridge {
    /// Understands everything as it is.
    Cvc5(LocalSolver),
    /// Has to be translated for.
    Z3 {
        /// The process.
        process: LocalSolver,
        /// What it was not told yet.
        script: Vec<u8>,
    },
}

impl Bridge {
    /// Hands over what was kept back; the values that it names.
    async fn hand_over(
        process: &mut LocalSolver,
        script: &mut Vec<u8>,
    ) -> Result<Universe, SolverError> {
        let text = String::from_utf8_lossy(script).into_owned();
        script.clear();
        let mut universe = Universe::default();
        let mut translated = String::with_capacity(text.len());
        for form in parse(&text)? {
            universe.add(&form);
            asked(form).write(&mut translated);
            translated.push('\n');
        }
        process
            .smtlib_input()
            .write_all(translated.as_bytes())
            .await?;
        Ok(universe)
    }
}

impl Solver for Bridge {
    fn smtlib_input(&mut self) -> &mut (dyn tokio::io::AsyncWrite + Unpin + Send) {
        match self {
            Self::Cvc5(process) => process.smtlib_input(),
            Self::Z3 { script, .. } => script,
        }
    }

    async fn enable_models(&mut self) -> Result<(), SolverError> {
        Ok(self
            .smtlib_input()
            .set_option("produce-models", "true")
            .await?)
    }

    async fn check_sat(&mut self) -> Result<Decision, SolverError> {
        match self {
            Self::Cvc5(process) => process.check_sat().await,
            Self::Z3 { process, script } => {
                Self::hand_over(process, script).await?;
                process.check_sat().await
            }
        }
    }

    async fn check_sat_with_model(&mut self) -> Result<DecisionWithModel, SolverError> {
        let (process, script) = match self {
            Self::Cvc5(process) => return process.check_sat_with_model().await,
            Self::Z3 { process, script } => (process, script),
        };
        let mut universe = Self::hand_over(process, script).await?;
        match process.check_sat_with_model().await? {
            DecisionWithModel::Sat { model } => {
                let mut read = String::with_capacity(model.len());
                let forms = parse(&model)?;
                for form in &forms {
                    universe.add(form);
                }
                for form in forms {
                    told(form, &universe).write(&mut read);
                    read.push('\n');
                }
                Ok(DecisionWithModel::Sat { model: read })
            }
            other => Ok(other),
        }
    }
}

/// An S-expression: an atom as it was written, strings with their quotes, or a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Atom(String),
    List(Vec<Form>),
}

fn atom(text: &str) -> Form {
    Form::Atom(text.to_owned())
}

impl Form {
    fn is(&self, text: &str) -> bool {
        matches!(self, Self::Atom(atom) if atom == text)
    }

    fn list(&self) -> &[Self] {
        match self {
            Self::List(forms) => forms,
            Self::Atom(_) => &[],
        }
    }

    fn write(&self, text: &mut String) {
        match self {
            Self::Atom(atom) => text.push_str(atom),
            Self::List(forms) => {
                text.push('(');
                for (place, form) in forms.iter().enumerate() {
                    if place > 0 {
                        text.push(' ');
                    }
                    form.write(text);
                }
                text.push(')');
            }
        }
    }
}

/// Every form of a text. Comments go.
fn parse(text: &str) -> Result<Vec<Form>, SolverError> {
    let unbalanced = || SolverError::UnrecognizedSolverOutput("unbalanced parentheses".to_owned());
    let mut open: Vec<Vec<Form>> = vec![Vec::new()];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let form = match character {
            '(' => {
                open.push(Vec::new());
                continue;
            }
            ')' => Form::List(open.pop().ok_or_else(unbalanced)?),
            ';' => {
                while characters.next_if(|next| *next != '\n').is_some() {}
                continue;
            }
            blank if blank.is_whitespace() => continue,
            // Ends at a quote that is not doubled; a symbol in bars, at its bar.
            quote @ ('"' | '|') => {
                let mut atom = String::from(quote);
                while let Some(next) = characters.next() {
                    atom.push(next);
                    if next == quote {
                        match characters.next_if_eq(&'"') {
                            Some(doubled) if quote == '"' => atom.push(doubled),
                            _ => break,
                        }
                    }
                }
                Form::Atom(atom)
            }
            first => {
                let mut atom = String::from(first);
                let ends = |next: &char| next.is_whitespace() || matches!(next, '(' | ')' | ';');
                while let Some(next) = characters.next_if(|next| !ends(next)) {
                    atom.push(next);
                }
                Form::Atom(atom)
            }
        };
        open.last_mut().ok_or_else(unbalanced)?.push(form);
    }
    match open.pop() {
        Some(forms) if open.is_empty() => Ok(forms),
        _ => Err(unbalanced()),
    }
}

/// A question in Z3's words.
fn asked(form: Form) -> Form {
    let Form::List(forms) = form else { return form };
    if let [as_, empty, of] = forms.as_slice()
        && as_.is("as")
        && empty.is("set.empty")
    {
        let constant = Form::List(vec![atom("as"), atom("const"), of.clone()]);
        return Form::List(vec![constant, atom("false")]);
    }
    let mut forms: Vec<Form> = forms.into_iter().map(asked).collect();
    let operator = match forms.first() {
        Some(Form::Atom(operator)) => operator.clone(),
        _ => return Form::List(forms),
    };
    let renamed = match (operator.as_str(), forms.len()) {
        ("set.member", 3) => {
            forms.swap(1, 2);
            "select"
        }
        ("set.subset", 3) => "subset",
        ("set.inter", 3) => "intersection",
        ("set.insert", 3..) => {
            let mut elements = forms.into_iter().skip(1);
            let Some(mut set) = elements.next_back() else {
                return Form::List(Vec::new());
            };
            for element in elements {
                set = Form::List(vec![atom("store"), set, element, atom("true")]);
            }
            return set;
        }
        _ => return Form::List(forms),
    };
    if let Some(first) = forms.first_mut() {
        *first = atom(renamed);
    }
    Form::List(forms)
}

/// The values of each type that a question or its answer names: strings, and entities by their type.
#[derive(Debug, Default)]
struct Universe(BTreeMap<String, BTreeSet<Form>>);

impl Universe {
    fn add(&mut self, form: &Form) {
        match form {
            Form::Atom(text) if text.starts_with('"') => {
                self.0
                    .entry("String".to_owned())
                    .or_default()
                    .insert(form.clone());
            }
            Form::Atom(_) => {}
            Form::List(forms) => {
                if let [Form::Atom(kind), Form::Atom(id)] = forms.as_slice()
                    && id.starts_with('"')
                {
                    self.0.entry(kind.clone()).or_default().insert(form.clone());
                }
                for form in forms {
                    self.add(form);
                }
            }
        }
    }
}

/// An answer in cvc5's words. What is not understood stays, and is refused by who reads it.
fn told(form: Form, universe: &Universe) -> Form {
    if let Some(text) = characters(&form) {
        return Form::Atom(format!("\"{text}\""));
    }
    if let Some(set) = Set::of(&form, universe) {
        return set.written(universe);
    }
    let Form::List(forms) = form else { return form };
    if let [array, of, to] = forms.as_slice()
        && array.is("Array")
        && to.is("Bool")
    {
        return Form::List(vec![atom("Set"), of.clone()]);
    }
    Form::List(forms.into_iter().map(|form| told(form, universe)).collect())
}

/// The text of a string that is put together of characters.
fn characters(form: &Form) -> Option<String> {
    match form.list() {
        [unit, character] if unit.is("seq.unit") => match character.list() {
            [underscore, kind, Form::Atom(number)] if underscore.is("_") && kind.is("Char") => {
                let number: u32 = number.parse().ok()?;
                Some(format!("\\u{{{number:x}}}"))
            }
            _ => None,
        },
        [concatenated, parts @ ..] if concatenated.is("seq.++") || concatenated.is("str.++") => {
            parts
                .iter()
                .map(|part| match part {
                    Form::Atom(text) => Some(text.strip_prefix('"')?.strip_suffix('"')?.to_owned()),
                    Form::List(_) => characters(part),
                })
                .collect()
        }
        _ => None,
    }
}

/// The elements of a set, or all but those.
struct Set {
    of: Form,
    all_but: bool,
    elements: BTreeSet<Form>,
}

impl Set {
    fn of(form: &Form, universe: &Universe) -> Option<Self> {
        match form.list() {
            // ((as const (Set T)) false)
            [constant, value] => match constant.list() {
                [as_, const_, set] if as_.is("as") && const_.is("const") => {
                    let of = match set.list() {
                        [kind, of] if kind.is("Set") => of,
                        [kind, of, to] if kind.is("Array") && to.is("Bool") => of,
                        _ => return None,
                    };
                    Some(Self {
                        of: of.clone(),
                        all_but: truth(value)?,
                        elements: BTreeSet::new(),
                    })
                }
                _ => None,
            },
            // (store S element true)
            [store, set, element, value] if store.is("store") => {
                let mut set = Self::of(set, universe)?;
                let element = told(element.clone(), universe);
                if truth(value)? == set.all_but {
                    set.elements.remove(&element);
                } else {
                    set.elements.insert(element);
                }
                Some(set)
            }
            // (lambda ((x T)) (or (= x element) …))
            [lambda, arguments, body] if lambda.is("lambda") => match arguments.list() {
                [argument] => match argument.list() {
                    [name, of] => Self::where_(name, of, body, universe),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// The values of `name` for which `body` is true.
    fn where_(name: &Form, of: &Form, body: &Form, universe: &Universe) -> Option<Self> {
        let set = |all_but, elements| Self {
            of: of.clone(),
            all_but,
            elements,
        };
        if let Some(all_but) = truth(body) {
            return Some(set(all_but, BTreeSet::new()));
        }
        match body.list() {
            [equal, one, other] if equal.is("=") => {
                let element = match (one == name, other == name) {
                    (true, false) => other,
                    (false, true) => one,
                    _ => return None,
                };
                Some(set(
                    false,
                    BTreeSet::from([told(element.clone(), universe)]),
                ))
            }
            [not, inner] if not.is("not") => {
                let inner = Self::where_(name, of, inner, universe)?;
                Some(set(!inner.all_but, inner.elements))
            }
            [or, parts @ ..] if or.is("or") => {
                let mut union = set(false, BTreeSet::new());
                for part in parts {
                    union = union.or(&Self::where_(name, of, part, universe)?);
                }
                Some(union)
            }
            [and, parts @ ..] if and.is("and") => {
                // All that none of them leaves out.
                let mut outside = set(false, BTreeSet::new());
                for part in parts {
                    let mut part = Self::where_(name, of, part, universe)?;
                    part.all_but = !part.all_but;
                    outside = outside.or(&part);
                }
                Some(set(!outside.all_but, outside.elements))
            }
            _ => None,
        }
    }

    fn or(self, other: &Self) -> Self {
        let (a, b) = (&self.elements, &other.elements);
        let elements = match (self.all_but, other.all_but) {
            (false, false) => a | b,
            (true, true) => a & b,
            (true, false) => a - b,
            (false, true) => b - a,
        };
        Self {
            of: self.of,
            all_but: self.all_but || other.all_but,
            elements,
        }
    }

    fn written(self, universe: &Universe) -> Form {
        let named = match &self.of {
            Form::Atom(kind) => universe.0.get(kind),
            Form::List(_) => None,
        };
        let elements = match named {
            Some(named) if self.all_but => named - &self.elements,
            _ if self.all_but => BTreeSet::new(),
            _ => self.elements,
        };
        let set = Form::List(vec![atom("Set"), self.of]);
        let mut written = Form::List(vec![atom("as"), atom("set.empty"), set]);
        for element in elements {
            let one = Form::List(vec![atom("set.singleton"), element]);
            written = Form::List(vec![atom("set.union"), written, one]);
        }
        written
    }
}

fn truth(form: &Form) -> Option<bool> {
    if form.is("true") {
        Some(true)
    } else if form.is("false") {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(text: &str, translate: impl Fn(Form) -> Form) -> String {
        let mut written = String::new();
        for form in parse(text).unwrap() {
            translate(form).write(&mut written);
        }
        written
    }

    #[test]
    fn questions_about_sets_are_put_in_the_words_of_z3() {
        for (theirs, ours) in [
            (
                "(assert (set.member t1 (f0 t2)))",
                "(assert (select (f0 t2) t1))",
            ),
            ("(set.subset a b) ; (x", "(subset a b)"),
            ("(set.inter a b)", "(intersection a b)"),
            ("(as set.empty (Set E0))", "((as const (Set E0)) false)"),
            (
                "(set.insert a b (as set.empty (Set E0)))",
                "(store (store ((as const (Set E0)) false) a true) b true)",
            ),
            (
                r#"(= x "a ""(set.inter"" b")"#,
                r#"(= x "a ""(set.inter"" b")"#,
            ),
        ] {
            assert_eq!(through(theirs, asked), ours);
        }
    }

    #[test]
    fn sets_of_an_answer_are_put_in_the_words_of_cvc5() {
        let mut universe = Universe::default();
        for form in parse(r#"(E0 "a") (f (E0 "b")) (E1 "c")"#).unwrap() {
            universe.add(&form);
        }
        let empty = "(as set.empty (Set E0))";
        let one = |id: &str| format!("(set.union {empty} (set.singleton (E0 \"{id}\")))");
        for (theirs, ours) in [
            ("((as const (Set E0)) false)", empty.to_owned()),
            (
                r#"(store ((as const (Set E0)) false) (E0 "x") true)"#,
                one("x"),
            ),
            (
                r#"(store (store ((as const (Set E0)) false) (E0 "x") true) (E0 "x") false)"#,
                empty.to_owned(),
            ),
            (
                r#"(store ((as const (Array E0 Bool)) true) (E0 "a") false)"#,
                one("b"),
            ),
            (r#"(lambda ((x E0)) (or (= x (E0 "x")) false))"#, one("x")),
            (r#"(lambda ((x E0)) (not (= (E0 "b") x)))"#, one("a")),
            (
                r#"(lambda ((x E0)) (and (not (= x (E0 "b"))) true))"#,
                one("a"),
            ),
            ("(Array E0 Bool)", "(Set E0)".to_owned()),
            (
                r#"(E0 (seq.++ (seq.unit (_ Char 113)) "b"))"#,
                r#"(E0 "\u{71}b")"#.to_owned(),
            ),
            ("(_ as-array k!0)", "(_ as-array k!0)".to_owned()),
        ] {
            assert_eq!(through(theirs, |form| told(form, &universe)), ours);
        }
    }

    #[test]
    fn what_is_not_balanced_is_refused() {
        assert!(parse("(a").is_err() && parse("a)").is_err());
    }
}
