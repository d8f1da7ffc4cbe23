//! Blobs in buckets: the contract, on a service that speaks S3 and lets anybody make a bucket, as test servers do.
//!
//! `LINNET_S3=127.0.0.1:9000 cargo test -p store-objects --test bucket -- --ignored`, beside `moto_server -p 9000` (PyPI).

use std::{
    io::{Read, Write},
    net::TcpStream,
};
use store::contract;
use store_objects::{Objects, S3};

/// Makes a bucket, with a request that nobody signed.
fn make(address: &str, bucket: &str) -> Objects {
    let mut socket = TcpStream::connect(address).unwrap();
    write!(socket, "PUT /{bucket} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Objects::bucket(&S3 {
        bucket: bucket.to_owned(),
        endpoint: Some(format!("http://{address}")),
        region: "us-east-1".to_owned(),
        access_key: "key".to_owned(),
        secret_key: "secret".to_owned(),
    })
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a service that speaks S3, at LINNET_S3"]
async fn fulfils_the_contract() {
    let address = std::env::var("LINNET_S3").expect("LINNET_S3 is the address of a service that speaks S3");
    let mut number = 0;
    contract::blobs::run(|| {
        number += 1;
        make(&address, &format!("linnet-{number}"))
    })
    .await;
}
