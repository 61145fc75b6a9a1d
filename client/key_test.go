package client

import (
	"crypto/ecdsa"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Keys as openssl writes them: testdata/keys has one of each kind, all of one
// P-256 key under the password "secret".
func TestKeys(t *testing.T) {
	plain, err := os.ReadFile("testdata/keys/plain.pem")
	if err != nil {
		t.Fatal(err)
	}
	want, err := parseKey(plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob("testdata/keys/*")
	if len(files) < 6 {
		t.Fatal(files)
	}
	for _, file := range files {
		b, _ := os.ReadFile(file)
		name := filepath.Base(file)
		got, err := parseKey(b, []byte("secret"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !got.(*ecdsa.PrivateKey).Equal(want) {
			t.Errorf("%s is another key", name)
		}
		if name[:3] != "enc" {
			continue
		}
		for _, wrong := range []string{"", "Secret"} {
			if _, err := parseKey(b, []byte(wrong)); err == nil {
				t.Errorf("%s opens with %q", name, wrong)
			}
		}
	}
	for _, b := range []string{"", "nonsense", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"} {
		if _, err := parseKey([]byte(b), nil); err == nil {
			t.Errorf("%q is a key", b)
		}
	}
}

func FuzzKey(f *testing.F) {
	files, _ := filepath.Glob("testdata/keys/*")
	for _, file := range files {
		b, _ := os.ReadFile(file)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 1000 {
			decryptPKCS8(b, nil)
		}
	})
}

// What openssl writes today, where there is one.
func TestKeysOfOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("SKIP: no openssl: apt-get install openssl")
	}
	for _, how := range [][]string{
		{"-v2", "aes-256-cbc"}, {"-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"}, {"-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA1"},
	} {
		args := append([]string{"pkcs8", "-topk8", "-in", "testdata/keys/plain.pem", "-passout", "pass:secret"}, how...)
		out, err := exec.Command(openssl, args...).Output()
		if err != nil {
			t.Fatal(how, err)
		}
		if _, err := parseKey(out, []byte("secret")); err != nil {
			t.Errorf("%q: %v", how, err)
		}
	}
}
