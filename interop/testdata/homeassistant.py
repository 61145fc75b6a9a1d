# Does what Home Assistant's MQTT integration does: birth and will, subscriptions
# to discovery, then to what it names, and commands. Says each on a line, and
# sends the lamp what it reads on standard input.
#   python3 homeassistant.py HOST PORT VERSION CA USER PASSWORD
import json
import sys

import paho.mqtt.client as mqtt

host, port, version, ca, user, password = sys.argv[1:]
version = mqtt.MQTTv5 if version == "5" else mqtt.MQTTv311
known = {}


def say(*words):
    print(*words, flush=True)


def on_connect(client, _userdata, _flags, reason, _properties=None):
    if int(getattr(reason, "value", reason)) != 0:
        say("refused", reason)
        return
    known.clear()
    client.subscribe([(f"homeassistant/{c}/+/{more}config", 0) for c in ("light", "sensor") for more in ("", "+/")])
    client.publish("homeassistant/status", "online", qos=0, retain=False)
    say("connected")


def on_message(client, _userdata, message):
    if message.topic.endswith("/config"):
        config = json.loads(message.payload)
        if config["unique_id"] not in known:
            client.subscribe([(t["topic"], 0) for t in config["availability"]] + [(config["state_topic"], 0)])
        known[config["unique_id"]] = config
        say("discovered", config["unique_id"], "retained" if message.retain else "live", len(config["device"]["model"]))
    elif message.topic == "zigbee2mqtt/bridge/state":
        say("bridge", json.loads(message.payload)["state"], "retained" if message.retain else "live")
    else:
        say("lamp", json.loads(message.payload)["state"], "retained" if message.retain else "live")


if hasattr(mqtt, "CallbackAPIVersion"):  # paho 2
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=version)
else:
    client = mqtt.Client(protocol=version)
client.on_connect, client.on_message = on_connect, on_message
client.username_pw_set(user, password)
client.tls_set(ca)
client.will_set("homeassistant/status", "offline", qos=0, retain=False)
client.reconnect_delay_set(1, 1)
client.connect(host, int(port), keepalive=60)
client.loop_start()
for line in sys.stdin:
    client.publish("zigbee2mqtt/lamp/set", json.dumps({"state": line.strip()}), qos=0)
