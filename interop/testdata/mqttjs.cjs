// Talks to a broker over WebSocket with MQTT.js, in one version, and prints
// "ok" when everything came as it should.
//   node mqttjs.cjs LIBRARY URL VERSION [CA]
const [, , library, url, version, ca] = process.argv;
const mqtt = require(library);
const options = { protocolVersion: Number(version), clientId: 'js' + version, clean: true, reconnectPeriod: 0 };
if (version === '3') options.protocolId = 'MQIsdp';
if (ca) options.ca = require('fs').readFileSync(ca);

const topic = `js/${version}`;
const waiting = new Map([0, 1, 2].map((qos) => [`qos ${qos}`, qos]));

const client = mqtt.connect(url, options);
client.on('error', fail);
client.on('connect', () => {
  client.subscribe(`${topic}/#`, { qos: 2 }, (err) => {
    if (err) fail(err);
    for (const [text, qos] of waiting) {
      client.publish(`${topic}/${qos}`, text, { qos }, (err) => err && fail(err));
    }
  });
});
client.on('message', (name, payload, packet) => {
  const text = payload.toString();
  if (name !== `${topic}/${waiting.get(text)}` || packet.qos !== waiting.get(text)) {
    fail(new Error(`unexpected ${name} ${text} at QoS ${packet.qos}`));
  }
  waiting.delete(text);
  if (waiting.size === 0) {
    client.end(false, {}, () => {
      console.log('ok');
      process.exit(0);
    });
  }
});

function fail(err) {
  console.error(err);
  process.exit(1);
}
