package harness

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Build makes midge of the tree this module replaces it by, with what that one
// requires.
func Build(ctx context.Context, file string) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/midgemq/midge").Output()
	if err != nil {
		return fmt.Errorf("go list: %w (run this in the interop module)", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", file, "./cmd/midge")
	cmd.Dir = strings.TrimSpace(string(root))
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, text)
	}
	return nil
}
