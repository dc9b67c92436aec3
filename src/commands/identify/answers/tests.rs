use super::*;

#[track_caller]
fn is(bytes: &[u8], question: Question, port: u16, spoken: Spoken, server: Option<&str>) -> Answer {
    let answer = answer(bytes, question, port).unwrap_or_else(|| panic!("not recognised: {bytes:?}"));
    assert_eq!((answer.spoken, answer.server.as_deref()), (spoken, server));
    answer
}

/// What MariaDB 10.11 sent first, recorded.
const MARIADB: &[u8] =
    b"\x64\0\0\0\x0a5.5.5-10.11.19-MariaDB-0+deb12u1\0\x04\0\0\0$@VpS-&s\0\xfe\xf7\x08\x02\0\xff\x81\x15\
\0\0\0\0\0\0\x1d\0\0\x003EAS_cRP|Bq5\0mysql_native_password\0";

#[test]
fn those_that_greet() {
    let nothing = Question::Nothing;
    is(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", nothing, 22, Spoken::Ssh, Some("OpenSSH_9.2p1 Debian-2"));
    is(b"220 mail.example ESMTP Postfix\r\n", nothing, 2000, Spoken::Smtp, None);
    is(b"220 (vsFTPd 3.0.3)\r\n", nothing, 2000, Spoken::Ftp, None);
    is(b"* OK [CAPABILITY IMAP4rev1] ready\r\n", nothing, 143, Spoken::Imap, None);
    is(b"+OK ready\r\n", nothing, 110, Spoken::Pop3, None);
    is(b"220 hello\r\n", nothing, 25, Spoken::Smtp, None);
    assert_eq!(answer(b"220 hello\r\n", nothing, 2000), None);
    // Not the whole line yet.
    assert_eq!(answer(b"SSH-2.0-OpenSSH_9.2p1", nothing, 22), None);
    is(MARIADB, nothing, 3306, Spoken::Mysql, Some("MariaDB 10.11.19-MariaDB-0+deb12u1"));
    let refusal = b"\x46\0\0\0\xff\x69\x04Host '10.0.0.1' is not allowed to connect to this MySQL server now!!";
    let packet = [&[u8::try_from(refusal.len() - 4).unwrap()], &refusal[1..]].concat();
    let answer = is(&packet, nothing, 3306, Spoken::Mysql, None);
    assert!(answer.detail["refusal"].starts_with("Host '10.0.0.1'"));
}

#[test]
fn http_with_server_title_and_location() {
    let page = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Type: text/html\r\n\r\n<HTML><Title a=b>A &amp;\n \
                 B</title>";
    let answer = is(page, Question::Http, 80, Spoken::Http, Some("nginx/1.22.1"));
    assert_eq!((answer.status, &*answer.detail["title"]), (Some(200), "A & B"));
    assert!(is_whole_http(page) && !is_whole_http(&page[..page.len() - 3]) && !is_whole_http(&page[..20]));
    let moved = b"HTTP/1.0 301 Moved\nLocation: /login\n\n";
    let answer = is(moved, Question::Http, 80, Spoken::Http, None);
    assert_eq!((answer.status, &*answer.detail["location"]), (Some(301), "/login"));
    for bytes in [&b"HTTP/1.1 abc\r\n\r\n"[..], b"HTTP/1.1", b"HTTP/x 200 OK\r\n\r\n", b"HTTP/1.1 99 Low\r\n\r\n"] {
        assert_eq!(super::answer(bytes, Question::Http, 80), None, "{bytes:?}");
    }
}

#[test]
fn tls_is_recognised_by_its_answer_to_plain_http() {
    is(b"\x15\x03\x01\0\x02\x02\x46", Question::Http, 9000, Spoken::Tls, None);
    for body in [
        "<center>The plain HTTP request was sent to HTTPS port</center>",
        "Client sent an HTTP request to an HTTPS server.",
        "You're speaking plain HTTP to an SSL-enabled server port.",
        "This combination of host and port requires TLS.",
    ] {
        let answer = format!("HTTP/1.1 400 Bad Request\r\n\r\n{body}");
        is(answer.as_bytes(), Question::Http, 9000, Spoken::Tls, None);
    }
}

#[test]
fn those_that_are_asked() {
    is(b"S", Question::Postgresql, 5432, Spoken::Postgresql, None);
    is(b"N", Question::Postgresql, 5432, Spoken::Postgresql, None);
    is(b"E\0\0\0\x10SFATAL\0", Question::Postgresql, 5432, Spoken::Postgresql, None);
    is(b"+PONG\r\n", Question::Redis, 6379, Spoken::Redis, None);
    is(b"-NOAUTH Authentication required.\r\n", Question::Redis, 6379, Spoken::Redis, None);
    is(b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0", Question::Http2, 50051, Spoken::Http2, None);
    is(b"AMQP\0\0\x09\x01", Question::Amqp, 5672, Spoken::Amqp, None);
    let start =
        b"\x01\0\0\0\0\x01\xf0\0\x0a\0\x0a\0\x09\0\0\x01\xcb\x07productS\0\0\0\x08RabbitMQ\x07versionS\0\0\0\x063.10.8";
    is(start, Question::Amqp, 5672, Spoken::Amqp, Some("RabbitMQ 3.10.8"));
    let reply = b"\x60\0\0\0\x09\0\0\0\x01\0\0\0\x01\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x10maxWireVersion\0\x15\0\0\0\0";
    let answer = is(reply, Question::Mongodb, 27017, Spoken::Mongodb, None);
    assert_eq!(answer.detail["wire_version"], "21");
    let mut reply = DNS_QUERY.to_vec();
    (reply[2], reply[7]) = (0x84, 1);
    reply.extend(b"\xc0\x0c\0\x10\0\x03\0\0\0\0\0\x0d\x0cdnsmasq-2.90");
    is(&reply, Question::Dns, 53, Spoken::Dns, Some("dnsmasq-2.90"));
    is(&[&[0, 60][..], &reply].concat(), Question::Dns, 53, Spoken::Dns, Some("dnsmasq-2.90"));
    let mut refused = DNS_QUERY.to_vec();
    (refused[2], refused[3]) = (0x80, 5);
    assert_eq!(is(&refused, Question::Dns, 53, Spoken::Dns, None).detail["response"], "REFUSED");
    // Our own question, sent back by an echo server, is no answer.
    assert_eq!(super::answer(DNS_QUERY, Question::Dns, 53), None);
    assert_eq!(super::answer(MONGODB_HELLO, Question::Mongodb, 53), None);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(0_u8.., 0..200), head in 0_usize..12) {
        let heads: [&[u8]; 12] = [
            b"", b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0-", b"220 ", b"\x01\0\0\0\0\0\x20\0\x0a\0\x0a", b"pc\x80", b"<title", b"\x15\x03\x01",
            b"\x20\0\0\0\x0a", b"AMQP", b"\0\0\x06\x04", b"\x07productS",
        ];
        let bytes = [heads[head], &bytes].concat();
        for question in [Question::Nothing, Question::Http, Question::Postgresql, Question::Redis, Question::Amqp, Question::Mongodb, Question::Dns] {
            let _ = answer(&bytes, question, 80);
            let _ = is_enough(&bytes, question, 80);
        }
    }
}
