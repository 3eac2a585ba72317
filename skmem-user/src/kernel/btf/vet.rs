//! A look at BTF before the parser gets it. btfparse follows references as they stand and copies each
//! name: a typedef of itself would keep it busy for ever, a structure within itself would end the
//! stack, and one long name in thousands of members would fill the memory.

use super::raw::{LONGEST_NAME, Raw};

/// Longest chain of modifiers and anonymous members.
const DEEPEST: u32 = 32;
/// Most members that a search for one field may have to look at.
const WIDEST: u32 = 1 << 16;

/// What references it has, of those that a search for a field follows by itself.
#[derive(Default)]
struct Node {
    /// Types that it stands for, or has as anonymous members.
    next: Vec<u32>,
    members: u32,
}

/// Looks whether the parser can cope with `bytes`.
///
/// # Errors
/// Why not.
pub(super) fn vet(bytes: &[u8]) -> Result<(), &'static str> {
    let raw = Raw::new(bytes)?;
    // Each name is copied as often as it is used.
    let mut names = 0;
    let mut nodes = Vec::new();
    for ty in raw.types() {
        let ty = ty?;
        for name in std::iter::once(ty.name).chain(ty.names()) {
            let name = raw.name(name).ok_or("a name lies outside of it")?;
            if name.len() > LONGEST_NAME {
                return Err("it has a name that is too long");
            }
            names += name.len();
            if names > 8 * bytes.len() {
                return Err("its names are used too often");
            }
        }
        let mut node = Node::default();
        node.next.extend(ty.stands_for());
        for member in ty.members() {
            node.members += 1;
            if member.name == 0 {
                node.next.push(member.target);
            }
        }
        nodes.push(node);
    }
    acyclic(&nodes)
}

/// What a search for a field may have to look at, from a type on.
#[derive(Clone, Copy)]
struct Cost {
    members: u32,
    /// Longest chain.
    height: u32,
}

/// Looks whether a search for a field ends, soon.
fn acyclic(nodes: &[Node]) -> Result<(), &'static str> {
    let mut costs: Vec<Option<Cost>> = vec![None; nodes.len()];
    for first in 0..nodes.len() {
        cost(nodes, &mut costs, first, 0)
            .ok_or("it has a type that is part of itself, or nested too deep")?;
    }
    Ok(())
}

/// None where that is too much, or without an end.
fn cost(nodes: &[Node], costs: &mut [Option<Cost>], n: usize, depth: u32) -> Option<Cost> {
    // Type 0 is void; one that does not exist is the parser's to find.
    let Some(node) = nodes.get(n) else {
        return Some(Cost {
            members: 1,
            height: 1,
        });
    };
    if let Some(known) = costs[n] {
        return Some(known);
    }
    if depth == DEEPEST {
        return None;
    }
    let mut sum = Cost {
        members: 1 + node.members,
        height: 1,
    };
    for next in &node.next {
        let next = (*next as usize).wrapping_sub(1);
        let next = cost(nodes, costs, next, depth + 1)?;
        sum.members += next.members;
        sum.height = sum.height.max(next.height + 1);
        if sum.members > WIDEST || sum.height > DEEPEST {
            return None;
        }
    }
    costs[n] = Some(sum);
    Some(sum)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{super::cut, *};

    /// BTF of these types' words, and these names.
    pub(crate) fn btf(types: &[u32], strings: &[u8]) -> Vec<u8> {
        let types: Vec<u8> = types.iter().flat_map(|w| w.to_ne_bytes()).collect();
        cut::whole(&types, strings)
    }

    pub(crate) const STRUCT: u32 = 4 << 24;
    pub(crate) const TYPEDEF: u32 = 8 << 24;

    #[test]
    fn what_would_not_end_is_refused() {
        let names = b"\0sock\0";
        let good = btf(&[1, STRUCT | 1, 8, 1, 2, 0, 1, TYPEDEF, 0], names);
        assert_eq!(vet(&good), Ok(()));
        let of_itself = btf(&[1, TYPEDEF, 1], names);
        assert!(vet(&of_itself).unwrap_err().contains("part of itself"));
        let within_itself = btf(&[1, STRUCT | 1, 8, 0, 1, 0], names);
        assert!(vet(&within_itself).unwrap_err().contains("part of itself"));
        // By name it may: a search looks at it where the path says so.
        assert_eq!(vet(&btf(&[1, STRUCT | 1, 8, 1, 1, 0], names)), Ok(()));
    }

    #[test]
    fn what_would_take_all_memory_or_time_is_refused() {
        let mut long = vec![b'x'; 5000];
        long[0] = 0;
        assert!(
            vet(&btf(&[1, TYPEDEF, 0], &long))
                .unwrap_err()
                .contains("too long")
        );
        let mut names = vec![b'x'; 4000];
        names[0] = 0;
        names.push(0);
        let often: Vec<u32> = (0..1000).flat_map(|_| [1, TYPEDEF, 0]).collect();
        assert!(vet(&btf(&often, &names)).unwrap_err().contains("too often"));
        // Each has the next one twice: 2^30 ways.
        let wide: Vec<u32> = (1..=30)
            .flat_map(|n| [0, STRUCT | 2, 8, 0, n + 1, 0, 0, n + 1, 0])
            .collect();
        assert!(vet(&btf(&wide, b"\0")).is_err());
        // Each has the one before it: known, and so not looked at again.
        let deep: Vec<u32> = (0..100).flat_map(|n| [0, STRUCT | 1, 8, 0, n, 0]).collect();
        assert!(vet(&btf(&deep, b"\0")).is_err());
    }

    #[test]
    fn this_machines_kernel_passes() {
        if let Ok(bytes) = std::fs::read(super::super::VMLINUX) {
            assert_eq!(vet(&bytes), Ok(()));
        }
    }
}
