//! A level for people: a bar that moves, or a line a second.

use greenroom_audio::{Format, Level};

/// The softest level that a bar shows, in dBFS.
const SOFTEST: f32 = -60.0;

/// The cells of a bar, and of one that shares its line.
const CELLS: usize = 40;
const FEW_CELLS: usize = 20;

/// A bar of one line: the RMS filled, the held peak as a mark. It covers what it showed before.
pub(crate) fn live(level: &Level, speaking: bool) -> String {
    format!(
        "{} {} peak {}{}",
        bar(level, CELLS),
        dbfs(level.rms),
        dbfs(level.held),
        state(level.clipped, speaking)
    )
}

/// A bar that shares its line with others.
pub(crate) fn short(level: &Level) -> String {
    bar(level, FEW_CELLS)
}

fn bar(level: &Level, cells: usize) -> String {
    let cell = |dbfs: f32| {
        let share = (dbfs.max(SOFTEST) - SOFTEST) / -SOFTEST;
        ((share * cells as f32) as usize).min(cells)
    };
    let (filled, held) = (cell(level.rms), cell(level.held));
    let bar: String = (0..cells)
        .map(|at| match at {
            at if at < filled => '█',
            at if at + 1 == held => '|',
            _ => '·',
        })
        .collect();
    let style = anstyle::Style::new().fg_color(Some(colour(level).into()));
    format!("{style}[{bar}]{style:#}")
}

fn colour(level: &Level) -> anstyle::AnsiColor {
    match level.held {
        _ if level.clipped > 0 => anstyle::AnsiColor::Red,
        held if held > -6.0 => anstyle::AnsiColor::Yellow,
        _ => anstyle::AnsiColor::Green,
    }
}

/// Of each second of a stream, what was loudest.
#[derive(Debug, Default)]
pub(crate) struct Loudest {
    seconds: u64,
    rms: Option<f32>,
    peak: Option<f32>,
    clipped: u32,
    speaking: bool,
}

impl Loudest {
    /// Takes a reading, and returns a line at the end of each second.
    pub(crate) fn add(&mut self, level: &Level, speaking: bool, format: Format) -> Option<String> {
        let louder = |so_far: Option<f32>, level: f32| Some(so_far.map_or(level, |so_far| so_far.max(level)));
        self.rms = louder(self.rms, level.rms);
        self.peak = louder(self.peak, level.peak);
        self.clipped += level.clipped;
        self.speaking |= speaking;
        if level.at < (self.seconds + 1) * u64::from(format.rate()) {
            return None;
        }
        let seconds = self.seconds + 1;
        let Self { rms, peak, clipped, speaking, .. } =
            std::mem::replace(self, Self { seconds, ..Self::default() });
        let shown = |level: Option<f32>| dbfs(level.unwrap_or(f32::NEG_INFINITY));
        Some(format!("{seconds:>4} s {} peak {}{}\n", shown(rms), shown(peak), state(clipped, speaking)))
    }
}

fn dbfs(level: f32) -> String {
    if level.is_finite() { format!("{level:>6.1} dBFS") } else { "silent     ".to_owned() }
}

fn state(clipped: u32, speaking: bool) -> String {
    let clipped = if clipped > 0 { format!(" {clipped} clipped") } else { String::new() };
    let speaking = if speaking { " speaking" } else { "" };
    format!("{:<24}", format!("{clipped}{speaking}"))
}

#[cfg(test)]
mod tests {
    use greenroom_audio::{Format, Level};

    use super::{CELLS, Loudest, live};

    fn level(at: u64, rms: f32, peak: f32) -> Level {
        Level { at, rms, peak, held: peak, clipped: 0 }
    }

    #[test]
    fn a_bar_is_as_long_as_it_is_loud() {
        let filled = |rms: f32| live(&level(0, rms, rms), false).matches('█').count();
        assert_eq!((filled(0.0), filled(-30.0), filled(f32::NEG_INFINITY)), (CELLS, CELLS / 2, 0));
        let bar = live(&level(0, -30.0, -6.0), true);
        assert!(bar.contains('|') && bar.contains("-30.0 dBFS") && bar.contains("speaking"), "{bar}");
        assert!(live(&level(0, f32::NEG_INFINITY, f32::NEG_INFINITY), false).contains("silent"));
    }

    #[test]
    fn a_line_a_second_tells_the_loudest() {
        let mut loudest = Loudest::default();
        let mut lines = Vec::new();
        for update in 1..=60_u64 {
            let level = level(update * 16_000 / 30, if update == 7 { -10.0 } else { -40.0 }, -3.0);
            lines.extend(loudest.add(&level, false, Format::SPEECH));
        }
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("1 s  -10.0 dBFS") && lines[1].contains("2 s  -40.0 dBFS"), "{lines:?}");
    }
}
