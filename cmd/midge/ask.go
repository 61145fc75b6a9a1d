package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/midgemq/midge/admin"
	"github.com/midgemq/midge/internal/config"
)

// askFlags say which running broker a command is about.
type askFlags struct {
	url, config, tokenFile, cafile string
}

func (a *askFlags) define(fs *flagSet) {
	fs.StringVar(&a.url, "url", "", "where [admin] url of the broker is: `address`, http://, https:// or a unix socket's path (default that of -c, $MIDGE_ADMIN_URL, or "+admin.DefaultURL+")")
	fs.StringVar(&a.config, "c", "", "take url and token_file from the configuration `file` of the broker")
	fs.StringVar(&a.tokenFile, "token-file", "", "`file` with the token (default that of -c, or $MIDGE_ADMIN_TOKEN_FILE)")
	fs.StringVar(&a.cafile, "cafile", "", "PEM `file` with the authorities that https is checked with (default: the system's)")
}

// open makes a client of what the flags say.
func (a *askFlags) open() (*admin.Client, error) {
	c := config.Default()
	if a.config != "" {
		var err error
		if c, err = config.Load(a.config); err != nil {
			return nil, err
		}
		if c.Admin.URL == "" && a.url == "" {
			return nil, fmt.Errorf("%s has no url in [admin]; with one, the broker can be asked", a.config)
		}
	}
	a.url = adminURL(cmp.Or(a.url, os.Getenv("MIDGE_ADMIN_URL"), c.Admin.URL, admin.DefaultURL))
	c.Admin.TokenFile = cmp.Or(a.tokenFile, os.Getenv("MIDGE_ADMIN_TOKEN_FILE"), c.Admin.TokenFile)
	token, err := c.Admin.Token()
	if err != nil {
		return nil, err
	}
	roots, err := a.roots()
	if err != nil {
		return nil, err
	}
	return admin.Open(a.url, token, roots)
}

func (a *askFlags) roots() (*tls.Config, error) {
	if a.cafile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(a.cafile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", a.cafile)
	}
	return &tls.Config{RootCAs: pool}, nil
}

// explain adds what to do to an error of a question.
func (a *askFlags) explain(err error) error {
	var refused *admin.Error
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return nil
	case errors.As(err, &refused):
		return fmt.Errorf("%s\n%s", refused.Text, refused.Instruction)
	case strings.Contains(err.Error(), "connection refused"), errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s: %w\nis the broker running, with [admin] url (midge serve --admin 127.0.0.1:9883)? --url says where else it is", a.url, err)
	}
	return fmt.Errorf("%s: %w", a.url, err)
}
