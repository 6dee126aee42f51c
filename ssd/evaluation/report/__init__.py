"""What an evaluation found, as a page to read: tables, diagrams and pictures."""

SHOWN_SCORE = 0.2  # pictures and the confusion matrix show detections above this, as `Detector` does by default
