package main

func Example() {
	main()
	// Output:
	// order-1: ALLOW, by default
	// order-2: CHALLENGE_REQUIRED, by rule large
	//   to be approved: Pay 250 to Ada's Books
	// order-3: REVIEW_REQUIRED, by rule second-look
	// order-4: BLOCK, by rule over-limit
	// order-2: CHALLENGE_REQUIRED, by rule large
	//   decided before, the same answer again
	// 4 events in the log
}
