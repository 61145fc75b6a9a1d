package jwt

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
)

// A key verifies tokens of the algorithms it is made for, and of no other: a
// public key is never taken for a shared secret.
type key struct {
	id    string // "": of tokens that name none
	algs  []string
	value any    // what the library wants
	print string // tells keys apart
}

// The algorithms a kind of key may be used with.
var (
	hmacAlgs = []string{"HS256", "HS384", "HS512"}
	rsaAlgs  = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	edAlgs   = []string{"EdDSA"}
)

// Sizes below which a key is no protection.
const (
	minSecret = 32   // bytes
	minRSA    = 2048 // bits
)

func newKey(id string, value any) (*key, error) {
	k := &key{id: id, value: value}
	switch v := value.(type) {
	case []byte:
		if len(v) < minSecret {
			return nil, fmt.Errorf("a secret of %d bytes is too short: want %d or more", len(v), minSecret)
		}
		k.algs, k.print = hmacAlgs, fingerprint(v)
		return k, nil
	case *rsa.PublicKey:
		if v.N.BitLen() < minRSA {
			return nil, fmt.Errorf("an RSA key of %d bits is too short: want %d or more", v.N.BitLen(), minRSA)
		}
		k.algs = rsaAlgs
	case *ecdsa.PublicKey:
		alg, known := map[elliptic.Curve]string{elliptic.P256(): "ES256", elliptic.P384(): "ES384", elliptic.P521(): "ES512"}[v.Curve]
		if !known {
			return nil, errors.New("the curve is none of P-256, P-384 and P-521")
		}
		k.algs = []string{alg}
	case ed25519.PublicKey:
		k.algs = edAlgs
	default:
		return nil, fmt.Errorf("a key of type %T verifies nothing", value)
	}
	der, err := x509.MarshalPKIXPublicKey(value)
	k.print = fingerprint(der)
	return k, err
}

func fingerprint(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// keysOf reads a JSON Web Key Set (RFC 7517), or PEM with public keys and
// certificates.
func keysOf(path string) (all []*key, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(data); block != nil {
		all, err = pemKeys(data)
	} else {
		all, err = jwks(data)
	}
	if err == nil && len(all) == 0 {
		err = errors.New("no key that verifies tokens is in it")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}

func pemKeys(data []byte) (all []*key, err error) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return all, nil
		}
		var public any
		switch block.Type {
		case "PUBLIC KEY":
			public, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			public, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case "CERTIFICATE":
			var cert *x509.Certificate
			if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
				public = cert.PublicKey
			}
		default:
			err = fmt.Errorf("a %s is no public key: keep it away from here", block.Type)
		}
		if err != nil {
			return nil, err
		}
		k, err := newKey("", public)
		if err != nil {
			return nil, err
		}
		all = append(all, k)
	}
}

// A jwk is one key of a set.
type jwk struct {
	Kty, Kid, Use, Alg, Crv, N, E, X, Y, K string
	Ops                                    []string `json:"key_ops"`
}

// jwks reads a set. Keys that are not for signatures, or of a kind unknown
// here, are left out (RFC 7517, 5).
func jwks(data []byte) (all []*key, err error) {
	var set struct{ Keys []jwk }
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("it is neither PEM nor a JSON Web Key Set: %w", err)
	}
	for i, j := range set.Keys {
		if j.Use != "" && j.Use != "sig" || j.Ops != nil && !slices.Contains(j.Ops, "verify") {
			continue
		}
		value, err := j.value()
		if value == nil && err == nil {
			continue
		}
		var k *key
		if err == nil {
			k, err = newKey(j.Kid, value)
		}
		if err == nil && j.Alg != "" {
			if !slices.Contains(k.algs, j.Alg) {
				err = fmt.Errorf("it is not for %s", j.Alg)
			}
			k.algs = []string{j.Alg}
		}
		if err != nil {
			return nil, fmt.Errorf("key %d (kid %q): %w", i+1, j.Kid, err)
		}
		all = append(all, k)
	}
	return all, nil
}

func (j *jwk) value() (any, error) {
	switch {
	case j.Kty == "oct":
		return bytesOf(j.K)
	case j.Kty == "RSA":
		n, err := bytesOf(j.N)
		e, errE := bytesOf(j.E)
		exponent := new(big.Int).SetBytes(e)
		if err = errors.Join(err, errE); err != nil || !exponent.IsInt64() || exponent.Int64() < 3 || exponent.Int64() > 1<<31-1 {
			return nil, errors.Join(err, errors.New("n or e is missing or out of range"))
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
	case j.Kty == "EC":
		return j.ec()
	case j.Kty == "OKP" && j.Crv == "Ed25519":
		x, err := bytesOf(j.X)
		if err != nil || len(x) != ed25519.PublicKeySize {
			return nil, errors.Join(err, errors.New("x is not 32 bytes"))
		}
		return ed25519.PublicKey(x), nil
	}
	return nil, nil
}

func (j *jwk) ec() (any, error) {
	curve, known := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[j.Crv]
	if !known {
		return nil, nil
	}
	x, err := bytesOf(j.X)
	y, errY := bytesOf(j.Y)
	size := (curve.Params().BitSize + 7) / 8
	if err := errors.Join(err, errY); err != nil || len(x) != size || len(y) != size {
		return nil, errors.Join(err, fmt.Errorf("x and y are not %d bytes", size))
	}
	return ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
}

func bytesOf(text string) ([]byte, error) {
	if text == "" {
		return nil, errors.New("a part of the key is missing")
	}
	return base64.RawURLEncoding.DecodeString(text)
}
