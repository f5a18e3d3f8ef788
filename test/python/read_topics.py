# Reads topics from Kafka with nothing of this project: librdkafka, fastavro, the registry's HTTP.
"""Prints one JSON line per committed record of each topic, in log order per partition.

Usage: read_topics.py BROKERS REGISTRY_URL TOPIC=FORM...

FORM says what values are: `avro` (decoded), `json` (parsed) or `bytes` (base64). A tombstone is null.
"""
import base64
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
READ_TIMEOUT_S = 60

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


def value_of(form, registry_url, value):
    """The value as JSON can hold it."""
    if value is None:
        return None
    if form == "avro":
        return decode(registry_url, value)
    if form == "json":
        return json.loads(value)
    return base64.b64encode(value).decode()


def line_of(form, registry_url, message):
    return {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp()[1],
        "key": None if message.key() is None else message.key().decode(),
        "headers": {name: text.decode() for name, text in message.headers() or []},
        "value": value_of(form, registry_url, message.value()),
    }


def open_consumer(brokers, **settings):
    """Sees committed records only, and is told of each end it reaches."""
    return Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"reader-{uuid.uuid4()}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            **settings,
        }
    )


def places_of(consumer, topics):
    """Topic and partition of each."""
    places = []
    for topic in topics:
        found = consumer.list_topics(topic, timeout=KAFKA_TIMEOUT_S).topics[topic].partitions
        if not found:
            raise LookupError(f"{topic} is not there")
        places.extend((topic, number) for number in found)
    return places


def read_to_ends(consumer, positions, take):
    """Hands over every record from these offsets, by topic and partition, to the present ends."""
    consumer.assign([TopicPartition(*place, offset) for place, offset in positions.items()])
    unfinished = set(positions)
    deadline = time.monotonic() + READ_TIMEOUT_S
    while unfinished:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not read to their ends: {sorted(unfinished)}")
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                raise KafkaException(message.error())
            unfinished.discard((message.topic(), message.partition()))
            continue
        take(message)


def printer(forms, registry_url):
    """Prints a record on one line, its value in the form of its topic."""

    def take(message):
        form = forms[message.topic()]
        print(json.dumps(line_of(form, registry_url, message), default=plain))

    return take


def forms_of(specs):
    return dict(spec.rsplit("=", 1) for spec in specs)


def main(brokers, registry_url, *specs):
    forms = forms_of(specs)
    consumer = open_consumer(brokers)
    positions = dict.fromkeys(places_of(consumer, forms), 0)
    read_to_ends(consumer, positions, printer(forms, registry_url))
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
