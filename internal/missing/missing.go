// Package missing tells whether an argument is missing.
package missing

import "reflect"

// Is reports whether what a caller gave is nil, or a nil pointer: such a pointer in an interface is
// not nil.
func Is(given any) bool {
	v := reflect.ValueOf(given)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}
