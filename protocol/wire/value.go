package wire

import (
	"reflect"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// value returns the form of an Ack or a Token. One that came from another node goes back as it
// came.
func (e *encoder) value(v any) *Value {
	if v == nil {
		return nil
	}
	switch v := v.(type) {
	case *Value:
		return v
	case bool:
		return &Value{Kind: &Value_Bool{v}}
	case int:
		return &Value{Kind: &Value_Int{int64(v)}}
	case int32:
		return &Value{Kind: &Value_Int32{v}}
	case int64:
		return &Value{Kind: &Value_Int64{v}}
	case uint:
		return &Value{Kind: &Value_Uint{uint64(v)}}
	case uint32:
		return &Value{Kind: &Value_Uint32{v}}
	case uint64:
		return &Value{Kind: &Value_Uint64{v}}
	case float64:
		return &Value{Kind: &Value_Float64{v}}
	case []byte:
		return &Value{Kind: &Value_Bytes{v}}
	case string:
		if !utf8.ValidString(v) {
			e.fail(unsendable("a string that is no UTF-8, as an Ack or a Token: send it as bytes"))
			return nil
		}
		return &Value{Kind: &Value_String_{v}}
	case proto.Message:
		if isNil(v) {
			break
		}
		packed, err := anypb.New(v)
		if err != nil {
			e.fail(unsendable("%T: %v", v, err))
			return nil
		}
		return &Value{Kind: &Value_Message{packed}}
	}
	e.fail(unsendable("a %T as an Ack or a Token", v))
	return nil
}

// value returns what a Value stands for, or, sealed, the Value itself.
func (d *decoder) value(v *Value) any {
	switch {
	case v == nil:
		return nil
	case !d.open:
		return v
	}
	switch kind := v.Kind.(type) {
	case *Value_Bool:
		return kind.Bool
	case *Value_Int:
		return d.int(kind.Int)
	case *Value_Int32:
		return kind.Int32
	case *Value_Int64:
		return kind.Int64
	case *Value_Uint:
		if uint64(uint(kind.Uint)) != kind.Uint {
			d.fail(malformed("%d is more than a uint holds here", kind.Uint))
		}
		return uint(kind.Uint)
	case *Value_Uint32:
		return kind.Uint32
	case *Value_Uint64:
		return kind.Uint64
	case *Value_Float64:
		return kind.Float64
	case *Value_String_:
		return kind.String_
	case *Value_Bytes:
		return kind.Bytes
	case *Value_Message:
		message, err := kind.Message.UnmarshalNew()
		if err != nil {
			d.fail(malformed("an Ack or a Token: %v", err))
			return nil
		}
		return message
	}
	d.fail(malformed("an Ack or a Token of an unknown kind"))
	return nil
}

// isNil reports whether v is nil, or a nil pointer.
func isNil(v any) bool {
	value := reflect.ValueOf(v)
	return !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil()
}
