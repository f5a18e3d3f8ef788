# Reads Avro values of the wire with another version of their schema, by fastavro and the registry's HTTP.
"""Prints one JSON line per case of FILE, a list of {"value": base64, "reader": Avro schema}.

Usage: read_evolved.py FILE REGISTRY_URL
"""
import base64
import io
import json
import struct
import sys
import urllib.request

import fastavro

HTTP_TIMEOUT_S = 10

schemas = {}


def schema_of(registry_url, schema_id):
    """The writer schema, fetched once per id."""
    if schema_id not in schemas:
        url = f"{registry_url}/schemas/ids/{schema_id}"
        with urllib.request.urlopen(url, timeout=HTTP_TIMEOUT_S) as answer:
            schemas[schema_id] = json.loads(json.load(answer)["schema"])
    return schemas[schema_id]


def plain(value):
    """fastavro gives datetimes for timestamp-millis; JSON gets epoch milliseconds again."""
    if hasattr(value, "timestamp"):
        return round(value.timestamp() * 1000)
    raise TypeError(f"{type(value)} has no JSON form")


def main(path, registry_url):
    with open(path, encoding="utf-8") as file:
        cases = json.load(file)
    for case in cases:
        value = base64.b64decode(case["value"])
        magic, schema_id = struct.unpack(">bI", value[:5])
        if magic != 0:
            raise ValueError(f"magic byte {magic}")
        body = io.BytesIO(value[5:])
        writer = schema_of(registry_url, schema_id)
        event = fastavro.schemaless_reader(body, writer, case["reader"])
        if body.read(1):
            raise ValueError("bytes left over")
        print(json.dumps(event, default=plain))


if __name__ == "__main__":
    main(*sys.argv[1:3])
