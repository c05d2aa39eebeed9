//! Measured values, and the files that keep them: `docs/benchmarks/BLOCK.tsv`, one for each block.
//!
//! Owns: collecting samples, their files, and the remarks on the run that measured them. A file has
//! one part for each run of the benchmark added to it: lines `# name<TAB>text` are remarks, lines
//! `key<TAB>values` are samples, in the order of measuring. Never does: giving a verdict. A file
//! that cannot be read stops the report; nothing is left out in silence.

use super::spread::Spread;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Samples of a report, by block.
#[derive(Default, Debug)]
pub struct Results {
    parts: BTreeMap<String, Vec<Part>>,
}

/// Samples of one block in one run of the benchmark, and remarks on them.
#[derive(Clone, Default, Debug)]
pub struct Part {
    about: Vec<(String, String)>,
    samples: Vec<(String, Vec<f64>)>,
}

impl Part {
    /// Takes in the output of a child: see `sample` and `remark`.
    pub fn take_output(&mut self, text: &str) {
        for line in text.lines() {
            let mut words = line.splitn(3, ' ');
            match (words.next(), words.next(), words.next()) {
                (Some("sample"), Some(key), Some(value)) => {
                    let value = value.parse().unwrap_or_else(|e| panic!("sample {key} {value}: {e}"));
                    self.samples_of(key).push(value);
                }
                (Some("remark"), Some(key), Some(text)) => self.set_remark(key, text),
                _ => {}
            }
        }
    }

    /// Sets the remark `name`, in place of an earlier one.
    pub fn set_remark(&mut self, name: &str, text: &str) {
        let text = text.replace(['\t', '\n'], " ");
        match self.about.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1 = text,
            None => self.about.push((name.to_owned(), text)),
        }
    }

    /// The remark `name`.
    pub fn remark(&self, name: &str) -> Option<&str> {
        self.about.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    /// Whether the part has no sample.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Values of a key, empty ones if the key is new.
    fn samples_of(&mut self, key: &str) -> &mut Vec<f64> {
        let index = self.samples.iter().position(|(known, _)| known == key).unwrap_or(self.samples.len());
        if index == self.samples.len() {
            self.samples.push((key.to_owned(), Vec::new()));
        }
        &mut self.samples[index].1
    }

    /// Text of the part in its block's file.
    fn text(&self) -> String {
        let mut text = "# part\t\n".to_owned();
        // Writing to a String cannot fail.
        for (name, said) in &self.about {
            let _ = writeln!(text, "# {name}\t{said}");
        }
        for (key, values) in &self.samples {
            // Three decimals suffice: no measurement here tells nanoseconds in a millisecond.
            let values: Vec<String> = values.iter().map(|v| ((v * 1e3).round() / 1e3).to_string()).collect();
            let _ = writeln!(text, "{key}\t{}", values.join(" "));
        }
        text
    }
}

/// Parts in the text of a block's file.
fn parse_parts(text: &str) -> Result<Vec<Part>, String> {
    let mut parts: Vec<Part> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (name, rest) = line.split_once('\t').ok_or_else(|| format!("a line without a tab: {line}"))?;
        if name == "# part" {
            parts.push(Part::default());
            continue;
        }
        let part = parts.last_mut().ok_or("it does not begin with a part")?;
        match name.strip_prefix("# ") {
            Some(name) => part.set_remark(name, rest),
            None => {
                let values: Result<Vec<f64>, _> = rest.split(' ').map(str::parse).collect();
                part.samples_of(name).extend(values.map_err(|e| format!("{name}: {e}"))?);
            }
        }
    }
    Ok(parts)
}

/// Path of a block's file.
pub fn block_file(dir: &Path, block: &str) -> PathBuf {
    dir.join(format!("{block}.tsv"))
}

impl Results {
    /// Adds a part to a block.
    pub fn add(&mut self, block: &str, part: Part) {
        self.parts.entry(block.to_owned()).or_default().push(part);
    }

    /// Reads the files of these blocks, as far as they exist. Fails with the file and what is wrong
    /// with it.
    pub fn read(dir: &Path, blocks: &[&str]) -> Result<Results, String> {
        let mut results = Results::default();
        for block in blocks {
            let path = block_file(dir, block);
            if path.exists() {
                let text = std::fs::read_to_string(&path).map_err(|e| format!("read {}: {e}", path.display()))?;
                let parts = parse_parts(&text).map_err(|e| format!("{}: {e}", path.display()))?;
                results.parts.insert((*block).to_owned(), parts);
            }
        }
        Ok(results)
    }

    /// Writes the files of all blocks with samples: in place of the old ones or, with `add`, behind
    /// their text.
    pub fn write(&self, dir: &Path, add: bool) -> std::io::Result<()> {
        std::fs::create_dir_all(dir)?;
        for (block, parts) in &self.parts {
            let path = block_file(dir, block);
            let mut text = if add && path.exists() { std::fs::read_to_string(&path)? } else { String::new() };
            parts.iter().filter(|part| !part.is_empty()).for_each(|part| text += &part.text());
            if !text.is_empty() {
                std::fs::write(&path, text)?;
            }
        }
        Ok(())
    }

    /// The blocks that were measured, one entry for each part.
    pub fn parts(&self) -> impl Iterator<Item = (&str, &Part)> {
        self.parts.iter().flat_map(|(block, parts)| parts.iter().map(move |part| (block.as_str(), part)))
    }

    /// Values of a key, in the order of measuring.
    pub fn values(&self, key: &str) -> Vec<f64> {
        let all = self.parts().flat_map(|(_, part)| &part.samples);
        all.filter(|(known, _)| known == key).flat_map(|(_, values)| values).copied().collect()
    }

    /// Statistics of a key; `None` when no run measured it.
    pub fn spread(&self, key: &str) -> Option<Spread> {
        Spread::of(self.values(key))
    }

    /// The latest remark `name` of any block: see `remark`.
    pub fn remark(&self, name: &str) -> Option<&str> {
        self.parts().filter_map(|(_, part)| part.remark(name)).last()
    }
}
