package client

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
)

var (
	errNoKey       = errors.New("there is no private key in it")
	errKeyPassword = errors.New("the key is encrypted, and KeyPassword does not open it")
	errKeyCipher   = errors.New("the key is encrypted in a way not known here; have openssl pkcs8 -topk8 -v2 aes-256-cbc rewrite it")
)

// parseKey reads a private key: PEM or DER, PKCS#8, PKCS#1 or SEC 1.
func parseKey(b, password []byte) (crypto.Signer, error) {
	block, rest := pem.Decode(b)
	if block == nil {
		return parseDER(b, password)
	}
	for ; block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
		default:
			continue
		}
		der := block.Bytes
		//lint:ignore SA1019 the form is weak, and what many devices have
		if x509.IsEncryptedPEMBlock(block) {
			var err error
			//lint:ignore SA1019 see above
			if der, err = x509.DecryptPEMBlock(block, password); err != nil {
				return nil, errKeyPassword
			}
		}
		return parseDER(der, password)
	}
	return nil, errNoKey
}

func parseDER(der, password []byte) (crypto.Signer, error) {
	if plain, err := decryptPKCS8(der, password); err != errNotPKCS8 {
		if err != nil {
			return nil, err
		}
		der = plain
	}
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if signer, ok := key.(crypto.Signer); ok {
			return signer, nil
		}
		return nil, fmt.Errorf("a %T signs nothing", key)
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	return nil, errNoKey
}

// EncryptedPrivateKeyInfo (RFC 5958) under PBES2 (RFC 8018), which the
// standard library does not read.
type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type pbes2Params struct {
	KDF, Cipher pkix.AlgorithmIdentifier
}

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}

	prfs = map[string]func() hash.Hash{
		"":                    sha1.New, // the standard's default
		"1.2.840.113549.2.7":  sha1.New,
		"1.2.840.113549.2.9":  sha256.New,
		"1.2.840.113549.2.10": sha512.New384,
		"1.2.840.113549.2.11": sha512.New,
	}
	ciphers = map[string]int{ // AES-CBC, by key length
		"2.16.840.1.101.3.4.1.2":  16,
		"2.16.840.1.101.3.4.1.22": 24,
		"2.16.840.1.101.3.4.1.42": 32,
	}

	errNotPKCS8 = errors.New("not an encrypted PKCS#8 key")
)

const maxIterations = 10_000_000 // a key that asks for more is an attack

func decryptPKCS8(der, password []byte) ([]byte, error) {
	var key encryptedKey
	if rest, err := asn1.Unmarshal(der, &key); err != nil || len(rest) > 0 || len(key.Data) == 0 {
		return nil, errNotPKCS8
	}
	var scheme pbes2Params
	var kdf pbkdf2Params
	var iv []byte
	if !key.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, errKeyCipher
	}
	if _, err := asn1.Unmarshal(key.Algorithm.Parameters.FullBytes, &scheme); err != nil || !scheme.KDF.Algorithm.Equal(oidPBKDF2) {
		return nil, errKeyCipher
	}
	if _, err := asn1.Unmarshal(scheme.KDF.Parameters.FullBytes, &kdf); err != nil {
		return nil, errKeyCipher
	}
	if _, err := asn1.Unmarshal(scheme.Cipher.Parameters.FullBytes, &iv); err != nil {
		return nil, errKeyCipher
	}
	prf, known := prfs[kdf.PRF.Algorithm.String()]
	size := ciphers[scheme.Cipher.Algorithm.String()]
	if !known || size == 0 || kdf.Iterations < 1 || kdf.Iterations > maxIterations ||
		len(iv) != aes.BlockSize || len(key.Data)%aes.BlockSize != 0 {
		return nil, errKeyCipher
	}
	if len(password) == 0 {
		return nil, errKeyPassword
	}
	derived, err := pbkdf2.Key(prf, string(password), kdf.Salt, kdf.Iterations, size)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(key.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, key.Data)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > aes.BlockSize {
		return nil, errKeyPassword
	}
	plain = plain[:len(plain)-pad]
	if _, err := x509.ParsePKCS8PrivateKey(plain); err != nil {
		return nil, errKeyPassword
	}
	return plain, nil
}
