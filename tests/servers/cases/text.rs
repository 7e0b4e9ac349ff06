//! Rows of text that looks like an instruction, and of the lexer.
