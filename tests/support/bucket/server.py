"""A server that speaks S3, with one empty bucket, on a port of the loopback that it prints. It ends with
whoever holds its standard input."""

import sys

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
client = boto3.client(
    "s3",
    endpoint_url=f"http://{host}:{port}",
    region_name="us-east-1",
    aws_access_key_id="payhall",
    aws_secret_access_key="payhall",
)
client.create_bucket(Bucket="payhall")
print(port, flush=True)
sys.stdin.read()
server.stop()
