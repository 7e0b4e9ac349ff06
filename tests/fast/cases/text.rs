//! Tests text that looks like an instruction, and the lexer.
