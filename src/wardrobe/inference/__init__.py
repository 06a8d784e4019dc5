"""A model file at work, without Keras: engines, classifier, predictions, output."""
