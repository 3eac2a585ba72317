//! Curves of steps, and the areas between them: each value holds until the next one.

use std::fmt::Write;

use super::super::scale::Axis;

/// A curve through these points, oldest first, that ends at `right`.
pub(in super::super) fn steps(
    (x, y): (&Axis, &Axis),
    right: f64,
    points: impl Iterator<Item = (u64, i64)>,
) -> String {
    let mut data = String::new();
    let mut last = None;
    for (time_ns, value) in points {
        if last == Some(value) {
            continue;
        }
        let (x, at) = (x.at(time_ns as f64), y.at(value as f64));
        let _ = match last {
            None => write!(data, "M{x:.1} {at:.1}"),
            Some(_) => write!(data, "H{x:.1}V{at:.1}"),
        };
        last = Some(value);
    }
    if last.is_some() {
        let _ = write!(data, "H{right:.1}");
    }
    data
}

/// The area between two such curves. Runs of samples between which it is empty are not drawn.
pub(in super::super) fn area(
    (x, y): (&Axis, &Axis),
    right: f64,
    times: &[u64],
    below: &[i64],
    above: &[i64],
) -> String {
    let place = |n: usize| x.at(times[n] as f64);
    let mut data = String::new();
    let mut back: Vec<(f64, f64)> = Vec::new();
    let mut n = 0;
    while n < times.len() {
        if above[n] == below[n] {
            n += 1;
            continue;
        }
        let start = n;
        back.clear();
        while n < times.len() && above[n] != below[n] {
            let (x, top) = (place(n), y.at(above[n] as f64));
            let _ = if n == start {
                write!(data, "M{x:.1} {top:.1}")
            } else if above[n] == above[n - 1] {
                Ok(())
            } else {
                write!(data, "H{x:.1}V{top:.1}")
            };
            if n == start || below[n] != below[n - 1] {
                back.push((x, y.at(below[n] as f64)));
            }
            n += 1;
        }
        let end = if n < times.len() { place(n) } else { right };
        let _ = write!(data, "H{end:.1}");
        for (x, bottom) in back.iter().rev() {
            let _ = write!(data, "V{bottom:.1}H{x:.1}");
        }
        data.push('Z');
    }
    data
}
