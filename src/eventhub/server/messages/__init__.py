"""HTTP messages: what their heads may say, and answers that several parts give."""
