package mutants

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func moduleRoot() (string, error) {
	path, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(path))), nil
}

// overlay writes the file with the defect into dir, and beside it the file for -overlay. It returns
// the path of the latter.
func overlay(root, dir string, d defect) (string, error) {
	original := filepath.Join(root, filepath.FromSlash(d.File))
	text, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), d.Old); n != 1 {
		return "", fmt.Errorf("the text to replace occurs %d times in %s: the code has changed, the table must follow", n, d.File)
	}
	changed := filepath.Join(dir, filepath.Base(d.File))
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), d.Old, d.New, 1)), 0o600); err != nil {
		return "", err
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, replace, 0o600)
}
