# Reads all findings from Kafka with nothing of this project: librdkafka, fastavro, and the registry's HTTP.
"""Prints one JSON line per committed record of a topic, in log order per partition.

Usage: read_findings.py BROKERS REGISTRY_URL TOPIC
"""
import io
import json
import struct
import sys
import time
import urllib.request
import uuid

import fastavro
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

HTTP_TIMEOUT_S = 10
KAFKA_TIMEOUT_S = 15
READ_TIMEOUT_S = 45

schemas = {}


def schema_of(registry_url, schema_id):
    """The parsed writer schema, fetched once per id."""
    if schema_id not in schemas:
        url = f"{registry_url}/schemas/ids/{schema_id}"
        with urllib.request.urlopen(url, timeout=HTTP_TIMEOUT_S) as answer:
            schemas[schema_id] = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
    return schemas[schema_id]


def decode(registry_url, value):
    """Magic byte, big-endian schema id, Avro; nothing may be left over."""
    magic, schema_id = struct.unpack(">bI", value[:5])
    if magic != 0:
        raise ValueError(f"magic byte {magic}")
    body = io.BytesIO(value[5:])
    event = fastavro.schemaless_reader(body, schema_of(registry_url, schema_id))
    if body.read(1):
        raise ValueError("bytes left over")
    return event


def plain(value):
    """fastavro gives datetimes for timestamp-millis; JSON gets epoch milliseconds again."""
    if hasattr(value, "timestamp"):
        return round(value.timestamp() * 1000)
    raise TypeError(f"{type(value)} has no JSON form")


def main(brokers, registry_url, topic):
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"reader-{uuid.uuid4()}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    partitions = consumer.list_topics(topic, timeout=KAFKA_TIMEOUT_S).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    unfinished = set(partitions)
    deadline = time.monotonic() + READ_TIMEOUT_S
    while unfinished:
        if time.monotonic() > deadline:
            raise TimeoutError(f"partitions {sorted(unfinished)} have not ended")
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                raise KafkaException(message.error())
            unfinished.discard(message.partition())
            continue
        value = message.value()
        event = None if value is None else decode(registry_url, value)
        headers = {name: text.decode() for name, text in message.headers() or []}
        line = {
            "key": message.key().decode(),
            "partition": message.partition(),
            "headers": headers,
            "value": event,
        }
        print(json.dumps(line, default=plain))
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:4])
