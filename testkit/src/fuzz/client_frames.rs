//! What a client's bytes mean (RFC 6455 §5), read in one go from the whole of them.

use crate::ws::opcode;

/// Everything that a client says.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Whole messages: whether it is text, and the payload.
    pub(super) messages: Vec<(bool, Vec<u8>)>,
    pub(super) pings: Vec<Vec<u8>>,
    pub(super) end: End,
    /// Messages and control frames, each of which counts.
    frames: u32,
}

/// What comes after the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// More may come.
    #[default]
    Open,
    /// A Close, with its code.
    Closed(Option<u16>),
    /// Bytes that have to be answered with a Close of this code.
    Failed(u16),
}

/// What a message may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) bytes: usize,
    pub(super) fragments: u32,
    /// How many messages and control frames there may be.
    pub(super) frames: u32,
}

/// A message whose last fragment has not come.
struct Partial {
    is_text: bool,
    payload: Vec<u8>,
    fragments: u32,
}

struct Header {
    is_final: bool,
    opcode: u8,
    mask: [u8; 4],
    length: u64,
    /// How long it is itself.
    bytes: usize,
}

impl Reading {
    pub(super) fn of(wire: &[u8], bounds: Bounds) -> Self {
        let mut reading = Self::default();
        if let Err(end) = reading.read(wire, bounds) {
            reading.end = end;
        }
        reading
    }

    fn read(&mut self, mut wire: &[u8], bounds: Bounds) -> Result<(), End> {
        let mut message = None;
        while let Some(header) = Header::parse(wire)? {
            wire = &wire[header.bytes..];
            let is_data = header.opcode < 8;
            if is_data {
                check_fragment(&header, &mut message, bounds)?;
            }
            // Nothing so long fits into memory; what there is of it has to be right all the same.
            let length = usize::try_from(header.length).unwrap_or(usize::MAX).min(wire.len());
            let is_whole = length as u64 == header.length;
            let key = header.mask.iter().cycle();
            let payload: Vec<u8> = wire[..length].iter().zip(key).map(|(b, k)| b ^ k).collect();
            wire = &wire[length..];
            if is_data {
                self.data(&header, payload, is_whole, &mut message, bounds)?;
            } else if is_whole {
                self.control(header.opcode, payload, bounds)?;
            }
        }
        Ok(())
    }

    fn data(
        &mut self,
        header: &Header,
        payload: Vec<u8>,
        is_whole: bool,
        message: &mut Option<Partial>,
        bounds: Bounds,
    ) -> Result<(), End> {
        let Some(mut partial) = message.take() else { return Ok(()) };
        partial.payload.extend(payload);
        let is_done = is_whole && header.is_final;
        if partial.is_text {
            // A character may be cut in two by the end of a fragment, but not by that of a message.
            match std::str::from_utf8(&partial.payload) {
                Err(error) if is_done || error.error_len().is_some() => {
                    return Err(End::Failed(1007));
                }
                _ => {}
            }
        }
        if is_done {
            self.count(bounds)?;
            self.messages.push((partial.is_text, partial.payload));
        } else {
            *message = Some(partial);
        }
        Ok(())
    }

    fn control(&mut self, opcode: u8, payload: Vec<u8>, bounds: Bounds) -> Result<(), End> {
        match opcode {
            opcode::PING => {
                self.count(bounds)?;
                self.pings.push(payload);
            }
            opcode::CLOSE => {
                let (code, reason) = match payload[..] {
                    [] => return Err(self.count(bounds).err().unwrap_or(End::Closed(None))),
                    [_] => return Err(End::Failed(1002)),
                    [high, low, ref reason @ ..] => (u16::from_be_bytes([high, low]), reason),
                };
                // RFC 6455 §7.4 and the registry that it founds.
                let may_be_sent = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
                return Err(match std::str::from_utf8(reason) {
                    _ if !may_be_sent => End::Failed(1002),
                    Err(_) => End::Failed(1007),
                    Ok(_) => self.count(bounds).err().unwrap_or(End::Closed(Some(code))),
                });
            }
            _ => self.count(bounds)?,
        }
        Ok(())
    }

    /// Counts what has come in whole and is right.
    fn count(&mut self, bounds: Bounds) -> Result<(), End> {
        self.frames += 1;
        if self.frames > bounds.frames { Err(End::Failed(4429)) } else { Ok(()) }
    }
}

fn check_fragment(
    header: &Header,
    message: &mut Option<Partial>,
    bounds: Bounds,
) -> Result<(), End> {
    if (header.opcode == opcode::CONTINUATION) != message.is_some() {
        return Err(End::Failed(1002));
    }
    let partial = message.get_or_insert_with(|| Partial {
        is_text: header.opcode == opcode::TEXT,
        payload: Vec::new(),
        fragments: 0,
    });
    partial.fragments += 1;
    if header.length.saturating_add(partial.payload.len() as u64) > bounds.bytes as u64 {
        return Err(End::Failed(1009));
    }
    if partial.fragments > bounds.fragments {
        return Err(End::Failed(1008));
    }
    Ok(())
}

impl Header {
    /// `None` while it is incomplete.
    fn parse(wire: &[u8]) -> Result<Option<Self>, End> {
        let &[first, second, ref rest @ ..] = wire else { return Ok(None) };
        let (digits, fewest) = match second & 0x7f {
            126 => (2, 126),
            127 => (8, 0x1_0000),
            _ => (0, 0),
        };
        let is_masked = second & 0x80 != 0;
        let more = digits + if is_masked { 4 } else { 0 };
        let Some(rest) = rest.get(..more) else { return Ok(None) };
        let (number, mask) = rest.split_at(digits);
        let length = match digits {
            0 => u64::from(second & 0x7f),
            _ => number.iter().fold(0, |length, &digit| length << 8 | u64::from(digit)),
        };
        let (is_final, opcode) = (first & 0x80 != 0, first & 0x0f);
        let is_right = first & 0x70 == 0
            && is_masked
            && matches!(opcode, 0..=2 | 8..=10)
            && (fewest..=i64::MAX as u64).contains(&length)
            && (opcode < 8 || (is_final && length <= 125));
        match mask.try_into() {
            Ok(mask) if is_right => {
                Ok(Some(Self { is_final, opcode, mask, length, bytes: 2 + more }))
            }
            _ => Err(End::Failed(1002)),
        }
    }
}
