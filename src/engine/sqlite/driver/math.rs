//! SQLite's math functions (`SQLITE_ENABLE_MATH_FUNCTIONS`), where the linked SQLite lacks
//! them: the one that `libsqlite3-sys` bundles does, and only the environment of a build
//! could change that.
//!
//! Results are SQLite's: NULL for what is no number and outside of a function's domain,
//! and whole numbers stay whole when they are rounded.

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};

/// The value of a function.
#[derive(Clone, Copy)]
enum Function {
    Constant(f64),
    Of(fn(f64) -> f64),
    OfPositive(fn(f64) -> f64),
    OfTwo(fn(f64, f64) -> f64),
    Rounding(fn(f64) -> f64),
}

use Function::*;

const FUNCTIONS: &[(&str, Function)] = &[
    ("acos", Of(f64::acos)),
    ("acosh", Of(f64::acosh)),
    ("asin", Of(f64::asin)),
    ("asinh", Of(f64::asinh)),
    ("atan", Of(f64::atan)),
    ("atan2", OfTwo(f64::atan2)),
    ("atanh", Of(f64::atanh)),
    ("ceil", Rounding(f64::ceil)),
    ("ceiling", Rounding(f64::ceil)),
    ("cos", Of(f64::cos)),
    ("cosh", Of(f64::cosh)),
    ("degrees", Of(f64::to_degrees)),
    ("exp", Of(f64::exp)),
    ("floor", Rounding(f64::floor)),
    ("ln", OfPositive(f64::ln)),
    ("log", OfPositive(f64::log10)),
    ("log", OfTwo(logarithm)),
    ("log10", OfPositive(f64::log10)),
    ("log2", OfPositive(f64::log2)),
    ("mod", OfTwo(|x, y| x % y)),
    ("pi", Constant(std::f64::consts::PI)),
    ("pow", OfTwo(f64::powf)),
    ("power", OfTwo(f64::powf)),
    ("radians", Of(f64::to_radians)),
    ("sin", Of(f64::sin)),
    ("sinh", Of(f64::sinh)),
    ("sqrt", Of(f64::sqrt)),
    ("tan", Of(f64::tan)),
    ("tanh", Of(f64::tanh)),
    ("trunc", Rounding(f64::trunc)),
];

/// Adds the functions to a connection whose SQLite does not have them.
pub(crate) fn add(connection: &Connection) -> Result<()> {
    if connection.prepare("SELECT pi(), sqrt(1)").is_ok() {
        return Ok(());
    }
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    for (name, function) in FUNCTIONS {
        let arguments = match function {
            Constant(_) => 0,
            Of(_) | OfPositive(_) | Rounding(_) => 1,
            OfTwo(_) => 2,
        };
        let function = *function;
        connection.create_scalar_function(*name, arguments, flags, move |context| {
            Ok(value(function, context).unwrap_or(Value::Null))
        })?;
    }
    Ok(())
}

fn value(function: Function, context: &Context<'_>) -> Option<Value> {
    let number = |i: usize| number(context.get_raw(i));
    let real = match function {
        Constant(value) => value,
        Of(function) => function(number(0)?.1),
        OfPositive(function) => function(Some(number(0)?.1).filter(|x| *x > 0.0)?),
        OfTwo(function) => function(number(0)?.1, number(1)?.1),
        Rounding(function) => match number(0)? {
            (Some(whole), _) => return Some(Value::Integer(whole)),
            (None, real) => function(real),
        },
    };
    (!real.is_nan()).then_some(Value::Real(real))
}

/// Reads a number, and the whole number if it is one. Text counts if it is a number.
fn number(value: ValueRef<'_>) -> Option<(Option<i64>, f64)> {
    match value {
        ValueRef::Integer(whole) => Some((Some(whole), whole as f64)),
        ValueRef::Real(real) => Some((None, real)),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).ok()?.trim_matches(|c: char| c.is_ascii_whitespace());
            if let Ok(whole) = text.parse::<i64>() {
                return Some((Some(whole), whole as f64));
            }
            // Rust reads `inf` and `nan` as well.
            let numeric = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
            numeric.then(|| text.parse().ok()).flatten().map(|real| (None, real))
        }
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

/// The logarithm of `x` to a base; not a number where either is not positive.
fn logarithm(base: f64, x: f64) -> f64 {
    match base > 0.0 && base.ln() > 0.0 && x > 0.0 {
        true => x.ln() / base.ln(),
        false => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a18_math_functions_are_there() {
        let connection = Connection::open_in_memory().unwrap();
        add(&connection).unwrap();
        for (expression, expected) in [
            ("sqrt(2)", "1.414213562373"),
            ("sqrt(16)", "4.0"),
            ("sqrt('16')", "4.0"),
            ("sqrt(' 1.6e1 ')", "4.0"),
            ("sqrt(-1)", ""),
            ("sqrt('x')", ""),
            ("sqrt('inf')", ""),
            ("sqrt(x'31')", ""),
            ("sqrt(NULL)", ""),
            ("pi()", "3.14159265358979"),
            ("pow(2, 10)", "1024.0"),
            ("power(2, -1)", "0.5"),
            ("mod(7.5, 2)", "1.5"),
            ("mod(-7, 3)", "-1.0"),
            ("mod(1, 0)", ""),
            ("ceil(1.2)", "2.0"),
            ("ceiling(-1.2)", "-1.0"),
            ("ceil(3)", "3"),
            ("floor('3')", "3"),
            ("floor(-1.2)", "-2.0"),
            ("trunc(-1.7)", "-1.0"),
            ("typeof(trunc(5))", "integer"),
            ("ln(1)", "0.0"),
            ("ln(0)", ""),
            ("log(100)", "2.0"),
            ("log(2, 8)", "3.0"),
            ("log(1, 8)", ""),
            ("log(2, 0)", ""),
            ("log10(1000)", "3.0"),
            ("log2(8)", "3.0"),
            ("exp(0)", "1.0"),
            ("degrees(pi())", "180.0"),
            ("round(radians(180), 10)", "3.1415926536"),
            ("sin(0)", "0.0"),
            ("cos(0)", "1.0"),
            ("tan(0)", "0.0"),
            ("asin(2)", ""),
            ("acos(1)", "0.0"),
            ("atan(0)", "0.0"),
            ("round(atan2(1, 1), 10)", "0.7853981634"),
            ("sinh(0) + cosh(0) + tanh(0)", "1.0"),
            ("asinh(0) + acosh(1) + atanh(0)", "0.0"),
        ] {
            let shown: Option<String> = connection
                .query_row(&format!("SELECT CAST({expression} AS TEXT)"), [], |row| row.get(0))
                .unwrap();
            let shown = shown.unwrap_or_default();
            // The shortest form differs between releases of SQLite.
            assert_eq!(
                shown.get(..expected.len()).filter(|_| !expected.is_empty()).unwrap_or(&shown),
                expected,
                "{expression}"
            );
        }
        // They may be used in a schema.
        connection
            .execute_batch("CREATE TABLE t (x, y AS (sqrt(x)) STORED); CREATE INDEX i ON t (floor(x)); INSERT INTO t VALUES (9)")
            .unwrap();
        assert!(connection.execute_batch("SELECT sqrt()").is_err());
        // Adding them again changes nothing.
        add(&connection).unwrap();
    }
}
