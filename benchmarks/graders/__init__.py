"""Three graders on one small assignment: seconds to the verdict, and the verdict on ten tricks."""
