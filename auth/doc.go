// Package auth says who a client is and what it may do.
//
// A [Guard] is a policy put into a broker's hooks: authenticators, asked in
// turn, who turn a CONNECT into an [Identity]; methods of enhanced
// authentication; a list of revoked certificates; and an [ACL], a list of
// rules about topics. A policy is immutable. [Guard.Apply] replaces it while
// clients stay connected, and ends the connections of those who may no longer
// be there.
//
// [Passwords] reads the files of mosquitto_passwd, [LoadACL] those of
// Mosquitto's acl_file and a richer form of our own. [Certificates] takes the
// name out of a client certificate, [Scram] runs SCRAM-SHA-256. Tokens are in
// auth/jwt, a service that is asked over HTTP in auth/web.
package auth
