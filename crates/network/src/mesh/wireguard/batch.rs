//! Datagrams to one place that the kernel can be handed in one call: all of one length, but for a shorter last
//! one (UDP segmentation offload, udp(7)).

/// Bytes of one call: less than what one IPv4 packet holds.
const BYTES: usize = 65_000;

/// Sealed packets on their way to one node.
#[derive(Debug)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    used: usize,
    /// Length of all but the last.
    segment: usize,
    count: usize,
    most: usize,
    /// No more fits: the last one was shorter, or longer, than those before.
    closed: bool,
    /// Where the last one begins, when it is longer than the others and goes alone.
    apart: Option<usize>,
}

impl Batch {
    pub(super) fn new() -> Self {
        let bytes = vec![0; BYTES];
        Self { bytes, used: 0, segment: 0, count: 0, most: 1, closed: false, apart: None }
    }

    /// Begins anew, for at most that many datagrams.
    pub(super) fn clear(&mut self, most: usize) {
        (self.used, self.segment, self.count) = (0, 0, 0);
        (self.most, self.closed, self.apart) = (most.max(1), false, None);
    }

    /// Where to write the next datagram; `None` when the batch is to be sent first.
    pub(super) fn room(&mut self, bytes: usize) -> Option<&mut [u8]> {
        let least = bytes.max(super::tunnel::LONGEST_MESSAGE);
        let full = self.closed || self.count == self.most || self.used + least > BYTES;
        if full { None } else { Some(&mut self.bytes[self.used..]) }
    }

    /// That many bytes were written there.
    pub(super) fn push(&mut self, bytes: usize) {
        if self.count == 0 {
            self.segment = bytes;
        }
        if bytes > self.segment {
            self.apart = Some(self.used);
        }
        self.closed = bytes != self.segment;
        self.used += bytes;
        self.count += 1;
    }

    /// What to send: bytes, and the length of each datagram in them but the last.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&[u8], usize)> {
        let end = self.apart.unwrap_or(self.used);
        let (together, alone) = (&self.bytes[..end], &self.bytes[end..self.used]);
        let parts = [(together, self.segment), (alone, alone.len())];
        parts.into_iter().filter(|(bytes, _)| !bytes.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(lengths: &[usize], most: usize) -> Vec<(usize, usize)> {
        let mut batch = Batch::new();
        batch.clear(most);
        let mut sent = Vec::new();
        for length in lengths {
            if batch.room(*length).is_none() {
                sent.extend(batch.parts().map(|(bytes, segment)| (bytes.len(), segment)));
                batch.clear(most);
            }
            batch.room(*length).unwrap()[..*length].fill(1);
            batch.push(*length);
        }
        sent.extend(batch.parts().map(|(bytes, segment)| (bytes.len(), segment)));
        sent
    }

    #[test]
    fn what_is_of_one_length_goes_together() {
        assert_eq!(sent(&[], 9), []);
        assert_eq!(sent(&[100, 100, 40, 100], 9), [(240, 100), (100, 100)]);
        assert_eq!(sent(&[100, 148, 100], 9), [(100, 100), (148, 148), (100, 100)]);
        assert_eq!(sent(&[100, 100, 100], 2), [(200, 100), (100, 100)]);
        assert_eq!(sent(&[40_000, 40_000], 9), [(40_000, 40_000), (40_000, 40_000)]);
    }
}
