"""MTCNN and FaceNet in numpy and by their papers' steps: boxes, landmarks, crops and weights."""
