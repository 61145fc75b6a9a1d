// Logs in with SCRAM-SHA-256 (RFC 5802, RFC 7677), written from the RFCs for
// MQTT.js and node's crypto, checks that the server knows the password too, logs
// in once more over the connection, and publishes. Prints "ok", or the refusal.
//   node scram.cjs LIBRARY URL USER PASSWORD
const [, , library, url, user, password] = process.argv;
const mqtt = require(library);
const crypto = require('crypto');
const method = 'SCRAM-SHA-256';

const hmac = (key, text) => crypto.createHmac('sha256', key).update(text).digest();
const sha256 = (data) => crypto.createHash('sha256').update(data).digest();
const fields = (message) => Object.fromEntries(message.toString().split(',').map((f) => [f[0], f.slice(2)]));

let first, signature;
function start() {
  first = `n=${user.replace(/=/g, '=3D').replace(/,/g, '=2C')},r=${crypto.randomBytes(18).toString('base64')}`;
  return Buffer.from(`n,,${first}`);
}
function prove(challenge) {
  const { r, s, i } = fields(challenge);
  if (!r.startsWith(fields(first).r)) throw new Error('another nonce');
  const salted = crypto.pbkdf2Sync(password, Buffer.from(s, 'base64'), Number(i), 32, 'sha256');
  const clientKey = hmac(salted, 'Client Key');
  const last = `c=biws,r=${r}`;
  const all = `${first},${challenge},${last}`;
  signature = hmac(hmac(salted, 'Server Key'), all).toString('base64');
  const proof = clientKey.map((b, n) => b ^ hmac(sha256(clientKey), all)[n]);
  return Buffer.from(`${last},p=${Buffer.from(proof).toString('base64')}`);
}
function verify(data) {
  if (fields(data || '').v !== signature) throw new Error('the server does not know the password');
}

const auth = (reasonCode, authenticationData) => ({ cmd: 'auth', reasonCode, properties: { authenticationMethod: method, authenticationData } });
const client = mqtt.connect(url, {
  protocolVersion: 5, reconnectPeriod: 0, clientId: 'scram-' + user,
  properties: { authenticationMethod: method, authenticationData: start() },
});
client.handleAuth = (packet, callback) => {
  const data = packet.properties.authenticationData;
  if (packet.reasonCode === 24) return callback(null, auth(24, prove(data)));
  verify(data);
  callback();
  client.publish('scram/done', 'x', { qos: 1 }, (err) => {
    if (err) fail(err);
    client.end(false, {}, () => {
      console.log('ok');
      process.exit(0);
    });
  });
};
client.on('connect', (connack) => {
  verify(connack.properties.authenticationData);
  console.log('in');
  client._sendPacket(auth(25, start()));
});
client.on('error', fail);
function fail(err) {
  console.log('refused', err.code, err.message);
  process.exit(1);
}
