//! Perfetto's packets, deflated in blocks as `traced` does it (`compressed_packets`).

use std::io::{self, Write};

use flate2::{Compress, Compression, FlushCompress, Status};

use super::perfetto_messages::compressed_packets;

/// Bytes of packets that go into a block at least.
const BLOCK: usize = 256 << 10;

/// As fast as can be: packets of one kind are much alike.
const LEVEL: u32 = 1;

/// Takes packets one by one, each of them whole.
pub struct Packed<W: Write> {
    out: W,
    /// Those that are not written yet. None: each is written as it comes.
    block: Option<Block>,
}

struct Block {
    packets: Vec<u8>,
    deflate: Compress,
    deflated: Vec<u8>,
}

impl<W: Write> Packed<W> {
    /// Writes to `out`, deflated or not.
    pub fn new(out: W, deflated: bool) -> Self {
        let block = deflated.then(|| Block {
            packets: Vec::with_capacity(BLOCK + 1024),
            deflate: Compress::new(Compression::new(LEVEL), true),
            deflated: Vec::new(),
        });
        Self { out, block }
    }

    /// Packets, as fields of `Trace`.
    ///
    /// # Errors
    /// Where `out` cannot be written.
    pub fn packets(&mut self, packets: &[u8]) -> io::Result<()> {
        match &mut self.block {
            None => self.out.write_all(packets),
            Some(block) => {
                block.packets.extend_from_slice(packets);
                match block.packets.len() < BLOCK {
                    true => Ok(()),
                    false => block.write(&mut self.out),
                }
            }
        }
    }

    /// The end.
    ///
    /// # Errors
    /// Where `out` cannot be written.
    pub fn finish(&mut self) -> io::Result<()> {
        if let Some(block) = self.block.as_mut().filter(|b| !b.packets.is_empty()) {
            block.write(&mut self.out)?;
        }
        self.out.flush()
    }
}

impl Block {
    fn write(&mut self, out: &mut impl Write) -> io::Result<()> {
        self.deflated.clear();
        self.deflate.reset();
        loop {
            self.deflated.reserve(BLOCK / 4);
            let taken = usize::try_from(self.deflate.total_in()).unwrap_or(usize::MAX);
            let rest = self.packets.get(taken..).unwrap_or_default();
            let finish = FlushCompress::Finish;
            match self
                .deflate
                .compress_vec(rest, &mut self.deflated, finish)?
            {
                Status::StreamEnd => break,
                Status::Ok | Status::BufError => {}
            }
        }
        self.packets.clear();
        out.write_all(&compressed_packets(self.deflated.len()))?;
        out.write_all(&self.deflated)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use prost::Message as _;

    use super::*;

    #[derive(Clone, PartialEq, prost::Message)]
    struct Trace {
        #[prost(message, repeated, tag = "1")]
        packet: Vec<Packet>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Packet {
        #[prost(bytes, optional, tag = "50")]
        compressed_packets: Option<Vec<u8>>,
    }

    #[test]
    fn blocks_inflate_to_what_went_in() {
        let packets: Vec<Vec<u8>> = (0..200_000_u32)
            .map(|n| format!("packet {n}, {:x}", n.wrapping_mul(2_654_435_761)).into_bytes())
            .collect();
        for count in [0, 1, packets.len()] {
            let packets = packets.get(..count).expect("as many");
            let write = |deflated| {
                let mut out = Vec::new();
                let mut packed = Packed::new(&mut out, deflated);
                packets
                    .iter()
                    .for_each(|p| packed.packets(p).expect("written"));
                packed.finish().expect("written");
                out
            };
            let plain = write(false);
            assert_eq!(plain, packets.concat());
            let deflated = write(true);
            let trace = Trace::decode(&*deflated).expect("a trace");
            let mut inflated = Vec::new();
            for packet in &trace.packet {
                let block = packet.compressed_packets.as_deref().expect("a block");
                let mut reader = flate2::read::ZlibDecoder::new(block);
                reader.read_to_end(&mut inflated).expect("deflated");
            }
            assert!(inflated == plain, "{count} packets");
            assert_eq!(trace.packet.len(), plain.len().div_ceil(BLOCK), "{count}");
        }
    }
}
