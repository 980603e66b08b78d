//! Proofs about policies: for every request there is, and not for those that somebody thought of.
//!
//! Policies become logic (`cedar-policy-symcc`), and an external solver looks for a request that
//! tells two sets of policies apart. What it finds is put to [`Engine::evaluate`] before anybody is
//! told: an example that the evaluator does not confirm is a mistake of this module, and no answer.
//!
//! [`Engine::evaluate`]: super::Engine::evaluate
//!
//! What is proved is about Cedar's answer for a membership. What stands around it at a door (the
//! scopes of a token, a suspended user, staleness) only takes away, so "never allowed" holds there
//! too. Three things are added to what the schema says, because requests of Doorward keep to them:
//! a resource is in one organization, a membership's id says its organization and user, and
//! `context.now` is there where it is declared, between 1970 and 9999.
//!
//! One rule is ours and not Cedar's: a forbid that fails denies. The solver is asked about Cedar's
//! rule, under which it is skipped; where that could make a proof wrong, the answer is *undecided*.

mod compare;
mod example;
mod platform;
mod property;
mod solver;
mod theory;
mod z3;

pub use compare::{ActionDifference, Comparison, compare};
pub use example::Example;
pub use platform::{PlatformExample, PlatformProof};
pub use property::{Claim, ClaimError, Proof, Property, prove};
pub use solver::{Answer, Program, ProgramKind, Solver};
