package main

func Example() {
	main()
	// Output:
	// order-1: ALLOW, by default
	// order-2: CHALLENGE_REQUIRED, by rule large
	//   to be approved: Pay 250 to Ada's Books
	// order-3: ALLOW, by default
	// order-4: REVIEW_REQUIRED, by rule second-look
	// order-2: CHALLENGE_REQUIRED, by rule large
	//   decided before, the same answer again
	// order-5: BLOCK, by rule blocked-payee
	// order-6: BLOCK, by rule suspect
	// 6 decisions in the log
}
