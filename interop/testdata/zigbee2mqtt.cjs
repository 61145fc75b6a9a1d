// Does what Zigbee2MQTT does, with a lamp: a will, retained discovery, states,
// commands, and everything anew when Home Assistant is born. Says each on a line.
//   node zigbee2mqtt.cjs LIBRARY URL VERSION CA USER PASSWORD
const [, , library, url, version, ca, username, password] = process.argv;
const mqtt = require(library);
const base = 'zigbee2mqtt';
const lamp = { state: 'OFF', brightness: 254 };

const client = mqtt.connect(url, {
  protocolVersion: Number(version), username, password, ca: require('fs').readFileSync(ca), reconnectPeriod: 200,
  will: { topic: `${base}/bridge/state`, payload: Buffer.from('{"state":"offline"}'), retain: true, qos: 1 },
});

function publish(topic, payload, options) {
  client.publish(topic, typeof payload === 'string' ? payload : JSON.stringify(payload), options, (err) => err && console.log('error', err.message));
}

function discovery() {
  publish('homeassistant/light/0x0123/light/config', {
    name: null, schema: 'json', unique_id: '0x0123_light_zigbee2mqtt', brightness: true,
    availability: [{ topic: `${base}/bridge/state`, value_template: '{{ value_json.state }}' }],
    state_topic: `${base}/lamp`, command_topic: `${base}/lamp/set`,
    device: { identifiers: ['zigbee2mqtt_0x0123'], name: 'lamp', model: 'a lamp'.padEnd(1500, '.') },
  }, { retain: true, qos: 1 });
}

function state() {
  const options = { retain: true, qos: 0 };
  if (version === '5') options.properties = { messageExpiryInterval: 3600 };
  publish(`${base}/lamp`, lamp, options);
}

client.on('connect', () => {
  client.subscribe(`${base}/#`, (err, granted) => err && console.log('error', err.message, granted));
  client.subscribe('homeassistant/status', (err, granted) => {
    if (err) return console.log('error', err.message, granted);
    publish(`${base}/bridge/state`, { state: 'online' }, { retain: true, qos: 0 });
    discovery();
    state();
    client.publish(`${base}/bridge/info`, '{"version":"2"}', { retain: true, qos: 0 }, () => console.log('connected'));
  });
});
client.on('message', (topic, payload) => {
  if (topic === 'homeassistant/status') {
    console.log('home', payload.toString());
    if (payload.toString() === 'online') {
      discovery();
      state();
    }
  } else if (topic === `${base}/lamp/set`) {
    Object.assign(lamp, JSON.parse(payload));
    console.log('set', lamp.state);
    state();
  }
});
client.on('reconnect', () => console.log('reconnecting'));
client.on('error', (err) => console.log('error', err.message));
