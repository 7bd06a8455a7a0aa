package cli

import (
	"flag"
	"fmt"
	"strings"
)

// Choice is one value of a flag whose values are words.
type Choice[T any] struct {
	Word  string
	Value T
}

// OneOf defines such a flag. The first choice is the default.
func OneOf[T any](flags *flag.FlagSet, to *T, name, usage string, choices ...Choice[T]) {
	*to = choices[0].Value
	words := make([]string, len(choices))
	for i, c := range choices {
		words[i] = c.Word
	}
	all := strings.Join(words, ", ")
	flags.Func(name, fmt.Sprintf("%s: one of %s (default %s)", usage, all, words[0]), func(word string) error {
		for _, c := range choices {
			if c.Word == word {
				*to = c.Value
				return nil
			}
		}
		return fmt.Errorf("it is none of %s", all)
	})
}
