//! How long the parsers and the sweep take. They are private, so this needs the access that fuzzers
//! have: `RUSTFLAGS='--cfg fuzzing' cargo bench --bench micro`.

#[cfg(not(all(fuzzing, target_os = "linux")))]
fn main() {
    println!("built without the doors to private code: RUSTFLAGS='--cfg fuzzing' cargo bench --bench micro");
}

#[cfg(all(fuzzing, target_os = "linux"))]
fn main() {
    divan::main();
}

#[cfg(all(fuzzing, target_os = "linux"))]
mod benches {
    use divan::Bencher;
    use divan::counter::ItemsCount;
    use portcheck::fuzzing::{self, Services};
    use portcheck::model::Protocol;

    /// A row of sock_diag with a header: a listener on 127.0.0.1, with the attributes that the
    /// kernel sends.
    fn row(port: u16) -> Vec<u8> {
        let mut row = vec![0u8; 16 + 72];
        row[4..6].copy_from_slice(&20u16.to_ne_bytes());
        row[8..12].copy_from_slice(&1u32.to_ne_bytes());
        row[16] = 2;
        row[17] = 10;
        row[20..22].copy_from_slice(&port.to_be_bytes());
        row[24..28].copy_from_slice(&[127, 0, 0, 1]);
        row[84..88].copy_from_slice(&u32::from(port).to_ne_bytes());
        // INET_DIAG_CGROUP_ID
        row.extend([12, 0, 21, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        let length = u32::try_from(row.len()).unwrap_or_default();
        row[..4].copy_from_slice(&length.to_ne_bytes());
        row
    }

    /// As many rows as the kernel puts into a datagram.
    #[divan::bench]
    fn sock_diag_rows(bencher: Bencher) {
        let datagram: Vec<u8> = (1..=300).flat_map(row).collect();
        bencher.counter(ItemsCount::new(300u32)).bench(|| fuzzing::sock_diag_reply(divan::black_box(&datagram)));
    }

    #[divan::bench]
    fn proc_net_lines(bencher: Bencher) {
        let line = "   0: 0100007F:F5AD 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 42380 1 0 100 0 0 10 0\n";
        let text = line.repeat(300);
        bencher.counter(ItemsCount::new(300u32)).bench(|| fuzzing::proc_net_lines(divan::black_box(&text)));
    }

    #[divan::bench]
    fn socket_links(bencher: Bencher) {
        bencher.bench(|| fuzzing::socket_link(divan::black_box(b"socket:[4238042]")));
    }

    /// All descriptors of this machine that may be read.
    #[divan::bench(sample_count = 20)]
    fn sweep() -> usize {
        fuzzing::sweep(divan::black_box(&[1]))
    }

    #[divan::bench]
    fn service_of_a_port(bencher: Bencher) {
        let services = Services::default();
        bencher.bench(|| services.lookup(divan::black_box(8080), Protocol::Tcp));
    }

    /// This name makes it search the whole registry of IANA.
    #[divan::bench]
    fn ports_of_an_unknown_service(bencher: Bencher) {
        let services = Services::default();
        bencher.bench(|| services.ports_named(divan::black_box("no-such-service")));
    }

    /// A name that is offered as "did you mean".
    #[divan::bench]
    fn nearest_name(bencher: Bencher) {
        let services = Services::default();
        bencher.bench(|| services.nearest_name(divan::black_box("postgrseql")));
    }
}
