# Follows topics while they are written, so that compaction takes nothing away unseen.
"""Prints one JSON line per committed record of each topic, in log order per partition.

Usage: follow_topics.py BROKERS REGISTRY_URL TOPIC=FORM...

Goes on until its standard input ends; then it reads what is there by that moment, and prints a last
line {"behind_ms": N}: the longest time in which a partition was not read to its end. FORM as in
read_topics.py.
"""
import json
import sys
import threading
import time

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from read_topics import forms_of, open_consumer, places_of, printer, read_to_ends

POLL_S = 0.2
# A broker that starts again is to be met at once.
RECONNECT = {"reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 500}


def until_input_ends():
    ended = threading.Event()

    def wait():
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    return ended


def follow(consumer, positions, take, ended):
    """Moves `positions` on with each record. Returns the longest time behind, in seconds."""
    consumer.assign([TopicPartition(*place, offset) for place, offset in positions.items()])
    behind_since = {}
    longest = 0.0
    polled = time.monotonic()
    while not ended.is_set():
        message = consumer.poll(POLL_S)
        now = time.monotonic()
        # A process that was given no time has not looked either.
        longest = max([longest, now - polled, *(now - since for since in behind_since.values())])
        polled = now
        if message is None:
            continue
        error = message.error()
        if error is None:
            place = (message.topic(), message.partition())
            behind_since.setdefault(place, now)
            positions[place] = message.offset() + 1
            take(message)
        elif error.code() == KafkaError._PARTITION_EOF:
            behind_since.pop((message.topic(), message.partition()), None)
        elif error.fatal():
            raise KafkaException(error)
        # All else is a broker that is away: the client goes back to it by itself.
    return longest


def main(brokers, registry_url, *specs):
    forms = forms_of(specs)
    ended = until_input_ends()
    consumer = open_consumer(brokers, **RECONNECT)
    positions = dict.fromkeys(places_of(consumer, forms), 0)
    take = printer(forms, registry_url)
    longest = follow(consumer, positions, take, ended)
    read_to_ends(consumer, positions, take)
    consumer.close()
    print(json.dumps({"behind_ms": round(longest * 1000)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
