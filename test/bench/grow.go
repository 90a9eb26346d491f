package main

import "errors"

func (b *bench) grow() error { return errors.New("later") }
