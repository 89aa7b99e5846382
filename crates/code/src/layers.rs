//! Imports between modules, and circles of them between packages.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::{code::Code, module::Module, resolve::Resolver, shipped::is_tool};

/// An import from one module to another of the project.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edge {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) line: u32,
    /// Inside a function.
    pub(crate) late: bool,
}

/// Every import within the project's own code that is there when it runs.
pub(crate) fn edges(code: &Code, resolver: &Resolver<'_>) -> Vec<Edge> {
    let mut found = Vec::new();
    for module in code.own().filter(|module| !is_tool(&module.path)) {
        let Some(from) = resolver.at(module) else { continue };
        for import in module.imports.iter().filter(|import| !import.types_only) {
            for to in resolver.targets(module, import).into_iter().filter(|to| *to != from) {
                found.push(Edge { from, to, line: import.line, late: import.late });
            }
        }
    }
    found
}

/// Folders that import each other in a circle; a folder and what is in it are not two.
pub(crate) fn circles(code: &Code, edges: &[Edge]) -> Vec<Vec<String>> {
    let folder = |module: &Module| module.path.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut graph: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for edge in edges.iter().filter(|edge| !edge.late) {
        let (from, to) = (folder(&code.modules[edge.from]), folder(&code.modules[edge.to]));
        if !from.starts_with(&to) && !to.starts_with(&from) {
            graph.entry(to.clone()).or_default();
            graph.entry(from).or_default().insert(to);
        }
    }
    let nodes: Vec<_> = graph.keys().cloned().collect();
    let number: BTreeMap<_, usize> = nodes.iter().enumerate().map(|(at, folder)| (folder, at)).collect();
    let next: Vec<Vec<usize>> =
        nodes.iter().map(|node| graph[node].iter().filter_map(|to| number.get(to).copied()).collect()).collect();
    let found = components(&next).into_iter().filter(|part| part.len() > 1);
    found.map(|part| part.into_iter().map(|at| nodes[at].display().to_string()).collect()).collect()
}

/// Strongly connected components, by Kosaraju, without recursion.
fn components(next: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let order = finished(next, 0..next.len());
    let mut back = vec![Vec::new(); next.len()];
    for (from, list) in next.iter().enumerate() {
        list.iter().for_each(|to| back[*to].push(from));
    }
    let mut part = vec![usize::MAX; next.len()];
    let mut found: Vec<Vec<usize>> = Vec::new();
    for start in order.into_iter().rev() {
        if part[start] != usize::MAX {
            continue;
        }
        part[start] = found.len();
        let (mut open, mut own) = (vec![start], Vec::new());
        while let Some(at) = open.pop() {
            own.push(at);
            for to in &back[at] {
                if part[*to] == usize::MAX {
                    part[*to] = found.len();
                    open.push(*to);
                }
            }
        }
        found.push(own);
    }
    found.iter_mut().for_each(|part| part.sort_unstable());
    found
}

/// Nodes in the order in which nothing is left to visit from them.
fn finished(next: &[Vec<usize>], starts: impl Iterator<Item = usize>) -> Vec<usize> {
    let (mut seen, mut order) = (vec![false; next.len()], Vec::new());
    for start in starts {
        let mut open = vec![(start, 0)];
        while let Some((at, step)) = open.pop() {
            if step == 0 && std::mem::replace(&mut seen[at], true) {
                continue;
            }
            match next[at].get(step) {
                None => order.push(at),
                Some(to) => {
                    open.push((at, step + 1));
                    if !seen[*to] {
                        open.push((*to, 0));
                    }
                }
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found() {
        let parts = components(&[vec![1], vec![2], vec![0, 3], vec![4], vec![], vec![5]]);
        assert!(parts.contains(&vec![0, 1, 2]) && parts.contains(&vec![3]) && parts.contains(&vec![4]));
        assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), 6);
        let long: Vec<Vec<usize>> = (0..50_000).map(|at| vec![(at + 1) % 50_000]).collect();
        assert_eq!(components(&long).len(), 1);
    }
}
