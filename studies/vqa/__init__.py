"""Answerers of questions, a CNN's vector times an LSTM's, trained on the scenes and on easy-VQA."""
