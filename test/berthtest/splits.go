package berthtest

import (
	"testing"
)

// These bound the number of calls that Splits makes.
const (
	everySplit = 12   // bytes up to which each of the splits is tried: 2,048 of 12
	mostSplits = 2048 // of one kind, for longer inputs
)

// Splits calls check with input cut into chunks, in the ways in which a network may cut it. An
// input of up to 12 bytes is cut in every possible way. A longer input comes whole, in chunks of
// every size, in every cut in two, and in cuts in three. Each kind is spread evenly over the input
// if there are more than 2,048. No chunk is empty. It stops at the first split with which the test
// fails, and logs it.
func Splits[Bytes ~string | ~[]byte](t testing.TB, input Bytes, check func(chunks []Bytes)) {
	t.Helper()
	n := len(input)
	try := func(cuts ...int) bool { return trySplit(t, cut(input, cuts), check) }
	switch {
	case n == 0:
		try()
	case n <= everySplit:
		tryAll(n, try)
	default:
		_ = try() && trySizes(n, try) && tryTwo(n, try) && tryThree(n, try)
	}
}

// tryAll tries every split: bit i of the mask is a cut behind byte i.
func tryAll(n int, try func(cuts ...int) bool) bool {
	for mask := range 1 << (n - 1) {
		var cuts []int
		for i := range n - 1 {
			if mask>>i&1 == 1 {
				cuts = append(cuts, i+1)
			}
		}
		if !try(cuts...) {
			return false
		}
	}
	return true
}

// trySizes tries chunks of the same size, single bytes first.
func trySizes(n int, try func(cuts ...int) bool) bool {
	for size := 1; size < n; size += step(size, n) {
		var cuts []int
		for i := size; i < n; i += size {
			cuts = append(cuts, i)
		}
		if !try(cuts...) {
			return false
		}
	}
	return true
}

// step skips more sizes of a long input the larger they are, because large sizes differ little.
func step(size, n int) int {
	if n <= mostSplits/8 {
		return 1
	}
	return 1 + size/16
}

// tryTwo tries one cut.
func tryTwo(n int, try func(cuts ...int) bool) bool {
	by := 1 + (n-1)/mostSplits
	for i := 1; i < n; i += by {
		if !try(i) {
			return false
		}
	}
	return true
}

// tryThree tries two cuts.
func tryThree(n int, try func(cuts ...int) bool) bool {
	by := 1
	for (n/by)*(n/by)/2 > mostSplits {
		by++
	}
	for i := 1; i < n; i += by {
		for j := i + 1; j < n; j += by {
			if !try(i, j) {
				return false
			}
		}
	}
	return true
}

// cut returns copies of the parts of input between the cuts, which ascend.
func cut[Bytes ~string | ~[]byte](input Bytes, cuts []int) (chunks []Bytes) {
	from := 0
	for _, to := range append(cuts, len(input)) {
		if to > from {
			chunks = append(chunks, Bytes([]byte(input[from:to])))
		}
		from = to
	}
	return chunks
}

// trySplit calls check, and returns false if the test fails with it. It logs the chunks of a split
// that fails, also if check panics or does not return.
func trySplit[Bytes ~string | ~[]byte](t testing.TB, chunks []Bytes, check func([]Bytes)) (passed bool) {
	t.Helper()
	before := t.Failed()
	defer func() {
		t.Helper()
		if !passed {
			t.Logf("berthtest: the input was split into %q", chunks)
		}
	}()
	check(chunks)
	return before || !t.Failed()
}
